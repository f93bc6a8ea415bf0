/**
 * How long a request asks the model to think. It changes nothing but what is
 * forecast, so a word that is not known is no mistake here. Where it is said:
 * `reasoning_effort` or its template's argument of that name (vLLM:
 * protocol.py; llama.cpp: server-common.cpp), `reasoning.effort` (openai-node,
 * resources/shared.ts), `output_config.effort` and `thinking` (anthropic-sdk-
 * typescript, resources/messages/messages.ts), `think` (Ollama: api/types.go).
 */
import { smallValue } from '../proxy/json/splice.ts';
import { REASONING_EFFORTS, type ReasoningEffort } from '../proxy/policy/types.ts';
import type { ScannedRequest } from './adapter.ts';
import { field } from './engine-answer.ts';

/** Arguments of a template may be long; those that are say nothing here. */
const MAX_VALUE_BYTES = 4_096;

/** The first that is said counts. */
const SAID: readonly ((request: ScannedRequest) => unknown)[] = [
  (request) => memberOf(request, 'reasoning_effort'),
  (request) => field(memberOf(request, 'reasoning'), 'effort'),
  (request) => field(memberOf(request, 'output_config'), 'effort'),
  (request) => field(memberOf(request, 'chat_template_kwargs'), 'reasoning_effort'),
  (request) => memberOf(request, 'think'),
];

/** Each of them switches thinking off. */
const SWITCHED_OFF: readonly ((request: ScannedRequest) => boolean)[] = [
  (request) => field(memberOf(request, 'thinking'), 'type') === 'disabled',
  (request) => field(memberOf(request, 'chat_template_kwargs'), 'enable_thinking') === false,
  (request) => memberOf(request, 'think') === false,
];

/** null: not said, or in a word that is not known. */
export function reasoningEffortOf(request: ScannedRequest): ReasoningEffort | null {
  if (SWITCHED_OFF.some((isOff) => isOff(request))) return 'none';
  for (const saidIn of SAID) {
    const said = saidIn(request);
    const effort = REASONING_EFFORTS.find((word) => word === said);
    if (effort !== undefined) return effort;
  }
  return null;
}

/** undefined where it is absent, or too long to be read. */
function memberOf({ body, object }: ScannedRequest, name: string): unknown {
  const member = object.members.get(name);
  return member === undefined ? undefined : smallValue(body, member, MAX_VALUE_BYTES);
}
