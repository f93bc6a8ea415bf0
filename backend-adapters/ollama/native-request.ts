/**
 * Bodies of Ollama's own routes: a chat, or a prompt with what its template
 * takes; limits and sampling are in `options` (api/types.go).
 */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, Rewrite, ScannedRequest } from '../adapter.ts';
import { closeNested, nestedProblem, openNested } from '../nested-fields.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import {
  conversationPrompt,
  NO_PROMPT,
  type PromptSize,
  requiredMessages,
} from '../openai-prompt.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { reasoningEffortOf } from '../reasoning-effort.ts';
import { RequestFields } from '../request-fields.ts';
import { unloads } from './refusals.ts';

const ANY_NUMBER = { words: '', includes: Number.isFinite };

export function parseNative(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  if (fields.boolean('_debug_render_only') === true) {
    fields.refuse(
      '_debug_render_only',
      '_debug_render_only is not supported: nothing is generated',
    );
  }
  const isChat = request.route.kind === 'native-chat';
  const isLoad = isChat ? hasNone(fields, 'messages') : hasNone(fields, 'prompt');
  const unload = isLoad ? unloads(fields) : null;
  if (unload !== null) return unload;
  const prompt = isLoad ? NO_PROMPT : isChat ? chat(fields, facts) : text(fields, facts);

  const options = openNested(request, 'options');
  if ('invalid' in options) return options;
  const limits = new RequestFields(options);
  const shape: RequestShape = {
    kind: isChat ? 'chat' : 'completion',
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: 1,
    requestedOutputTokens: isLoad ? 0 : outputTokens(limits),
    stream: !isLoad && (fields.boolean('stream') ?? true),
    temperature: limits.number('temperature', ANY_NUMBER),
    topP: limits.number('top_p', ANY_NUMBER),
    reasoningEffort: reasoningEffortOf(request),
    hasTools: (fields.member('tools')?.children ?? 0) > 0,
    hasResponseFormat: fields.member('format') !== null,
  };
  if (limits.problem !== null) return nestedProblem('options', limits.problem);
  return fields.problem ?? shape;
}

export function rewriteNative(
  request: ScannedRequest,
  shape: RequestShape,
  { outputTokens: granted, sampling }: RewriteGrant,
): Rewrite {
  const options = openNested(request, 'options');
  const lower = (value: number | undefined, asked: number | null) =>
    value !== undefined && value < (asked ?? Number.POSITIVE_INFINITY);
  const edits = [
    ...(lower(granted ?? undefined, shape.requestedOutputTokens)
      ? [{ key: 'num_predict', json: String(granted) }]
      : []),
    ...(lower(sampling.temperature, shape.temperature)
      ? [{ key: 'temperature', json: String(sampling.temperature) }]
      : []),
    ...(lower(sampling.topP, shape.topP) ? [{ key: 'top_p', json: String(sampling.topP) }] : []),
  ];
  const edit = 'invalid' in options ? null : closeNested('options', options, edits);
  return {
    edits: edit === null ? [] : [edit],
    changed: edits.map(({ key }) => `options.${key}`),
    skipped: [],
    asksForUsage: false,
  };
}

/** Absent, null or empty. */
function hasNone(fields: RequestFields, name: 'messages' | 'prompt'): boolean {
  const member = fields.member(name);
  if (member === null) return true;
  return name === 'messages'
    ? member.kind === 'array' && member.children === 0
    : member.kind === 'string' && member.stringBytes === 0;
}

function chat(fields: RequestFields, facts: EngineFacts): PromptSize {
  const messages = requiredMessages(fields);
  if (messages === null) return NO_PROMPT;
  const parts = { talk: [messages], besides: ['tools', 'think'], textIsSure: true };
  return conversationPrompt(fields, parts, facts);
}

/** `context` holds the tokens of earlier turns, as ids. */
function text(fields: RequestFields, facts: EngineFacts): PromptSize {
  for (const name of ['prompt', 'suffix', 'system', 'template'] as const) {
    const member = fields.member(name);
    if (member !== null && member.kind !== 'string')
      fields.refuse(name, `${name} must be a string`);
  }
  const context = fields.member('context');
  if (
    context !== null &&
    (context.kind !== 'array' || context.childKinds.some((kind) => kind !== 'number'))
  ) {
    fields.refuse('context', 'context must be an array of token ids');
  }
  const ids = context?.numbers ?? 0;
  const talk = ['prompt', 'suffix'].flatMap((name) => fields.member(name) ?? []);
  const parts = { talk, besides: ['system', 'template', 'images'], textIsSure: true };
  const { prompts, promptTokens } = conversationPrompt(fields, parts, facts);
  return {
    prompts,
    promptTokens: {
      lo: promptTokens.lo + ids,
      expected: promptTokens.expected + ids,
      hi: promptTokens.hi + ids,
      source: promptTokens.source,
    },
  };
}

/**
 * -1 and -2 are no limit but ten contexts, all in the cells of one
 * (llm/llama_server.go, boundedNumPredict). 0 is lost on the way to the runner.
 */
function outputTokens(limits: RequestFields): number | null {
  const asked = limits.integer('num_predict', { min: -2, max: MAX_INT32 });
  if (asked === 0) limits.refuse('num_predict', 'num_predict must be -1 or at least 1');
  return asked === null || asked < 0 ? null : asked;
}
