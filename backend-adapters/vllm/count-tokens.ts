/**
 * vLLM's own counts. `POST /tokenize` is outside /v1 and thus open without a
 * key. It renders chats of gpt-oss by the chat template where the real route uses
 * harmony, and counted fewer tokens in v0.32, so a margin is added to them.
 * `POST /v1/messages/count_tokens` counts as the real route does.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, RequestKind, ScannedRequest } from '../adapter.ts';
import { countField, parseJson } from '../engine-answer.ts';
import { FRAMING_MARGIN } from '../framing.ts';
import { RequestFields } from '../request-fields.ts';

interface Counter {
  readonly path: string;
  /** Members that decide what is counted. */
  readonly members: readonly string[];
  /** The member of the answer that tells. */
  readonly told: string;
}

const HARMONY_MODELS = /gpt-?oss/i;

const COUNTERS: Readonly<Partial<Record<RequestKind, Counter>>> = {
  chat: {
    path: '/tokenize',
    members: [
      'model',
      'messages',
      'tools',
      'add_generation_prompt',
      'continue_final_message',
      'chat_template',
      'chat_template_kwargs',
      'add_special_tokens',
    ],
    told: 'count',
  },
  completion: {
    path: '/tokenize',
    members: ['model', 'prompt', 'add_special_tokens'],
    told: 'count',
  },
  messages: {
    path: '/v1/messages/count_tokens',
    members: ['model', 'messages', 'system', 'tools', 'tool_choice'],
    told: 'input_tokens',
  },
};

/** They change the prompt, and the counter does not know them (TokenizeChatRequest). */
const UNCOUNTED = ['truncate_prompt_tokens', 'documents'];

/**
 * null for what it has no counter for, for a list of prompts, for a prompt that
 * the engine would cut or add documents to, and where the engine refuses to count.
 */
export async function countPromptTokens(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const { members } = request.object;
  const { kind } = request.route;
  const counter = COUNTERS[kind];
  if (counter === undefined || UNCOUNTED.some((name) => members.has(name))) return null;
  if (kind === 'completion' && members.get('prompt')?.kind !== 'string') return null;
  const parts = counter.members.flatMap((name) => {
    const member = members.get(name);
    return member === undefined || member.kind === 'null'
      ? []
      : [`${JSON.stringify(name)}:${memberJson(request.body, member)}`];
  });
  const reply = await io.post(counter.path, `{${parts.join(',')}}`, signal);
  const count = reply.status === 200 ? countField(parseJson(reply.body), counter.told) : null;
  const model = kind === 'chat' ? new RequestFields(request).string('model') : null;
  const isHarmony = HARMONY_MODELS.test(model ?? '');
  return count === null || !isHarmony ? count : count + FRAMING_MARGIN.baseTokens;
}
