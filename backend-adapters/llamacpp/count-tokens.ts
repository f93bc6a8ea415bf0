/**
 * llama-server's own token counts, and what its chat template adds, measured
 * with them.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, Framing, ScannedRequest } from '../adapter.ts';
import { countField, listField, parseJson } from '../engine-answer.ts';
import { FRAMING_MARGIN } from '../framing.ts';

/** A chat is counted by the route beside its own; null where the build has none. */
export async function countChatTokens(
  io: EngineIo,
  path: string,
  body: string | Uint8Array,
  signal: AbortSignal,
): Promise<number | null> {
  const reply = await io.post(`${path}/input_tokens`, body, signal);
  return reply.status === 200 ? countField(parseJson(reply.body), 'input_tokens') : null;
}

/** A completion of one text; null for lists, which `/tokenize` would join into one. */
export async function countTextTokens(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const prompt = request.object.members.get('prompt');
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
  return countChatTokens(io, '/v1/chat/completions', JSON.stringify({ messages }), signal);
}
