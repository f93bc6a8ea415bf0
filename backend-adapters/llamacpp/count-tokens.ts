/**
 * llama-server's own token counts, and what its chat template adds, measured
 * with them.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, Framing, ScannedRequest } from '../adapter.ts';
import { countField, listField, parseJson } from '../engine-answer.ts';
import { FRAMING_MARGIN } from '../framing.ts';

/** Tokens of a request's prompt, by whatever counts bodies of its kind; null where nothing does. */
export async function countLlamacppTokens(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const { kind, path } = request.route;
  switch (kind) {
    case 'chat':
    case 'responses':
      return countBody(io, `${path}/input_tokens`, request.body, signal);
    case 'messages':
      return countBody(io, `${path}/count_tokens`, request.body, signal);
    case 'completion':
    case 'native-text':
      return path === '/infill' ? null : countText(io, request, 'prompt', signal);
    case 'embedding':
      return countText(io, request, 'input', signal);
    default:
      return null;
  }
}

/** The same body is counted by the route beside its own; null where the build has none. */
async function countBody(
  io: EngineIo,
  path: string,
  body: string | Uint8Array,
  signal: AbortSignal,
): Promise<number | null> {
  const reply = await io.post(path, body, signal);
  return reply.status === 200 ? countField(parseJson(reply.body), 'input_tokens') : null;
}

/** One text; null for lists, which `/tokenize` would join into one. */
async function countText(
  io: EngineIo,
  request: ScannedRequest,
  field: 'prompt' | 'input',
  signal: AbortSignal,
): Promise<number | null> {
  const prompt = request.object.members.get(field);
  if (prompt?.kind !== 'string') return null;
  const content = memberJson(request.body, prompt);
  const reply = await io.post('/tokenize', `{"content":${content},"add_special":true}`, signal);
  const answer = reply.status === 200 ? parseJson(reply.body) : undefined;
  const tokens = listField(answer, 'tokens').length;
  return tokens > 0 ? tokens : null;
}

/**
 * Tokens of the template around a chat of one message and of three. Messages
 * of other roles (tool, developer) may have longer frames than those measured,
 * so a margin is added; null where the build can't count.
 */
export async function measuredFraming(io: EngineIo, signal: AbortSignal): Promise<Framing | null> {
  const one = await countSample(io, ['user'], signal);
  if (one === null) return null;
  const three = await countSample(io, ['user', 'assistant', 'user'], signal);
  if (three === null || three < one) return null;
  const perMessageTokens = Math.ceil((three - one) / 2);
  return {
    baseTokens: one + FRAMING_MARGIN.baseTokens,
    perMessageTokens: perMessageTokens + FRAMING_MARGIN.perMessageTokens,
  };
}

function countSample(
  io: EngineIo,
  roles: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const messages = roles.map((role) => ({ role, content: 'a' }));
  return countBody(io, '/v1/chat/completions/input_tokens', JSON.stringify({ messages }), signal);
}
