/**
 * TGI's own counters: `/chat_tokenize` renders a chat as the chat route does,
 * `/tokenize` takes one text (server.rs). Both answer with every token, so the
 * count of a very long prompt comes in an answer that is too long to be read.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, ScannedRequest } from '../adapter.ts';
import { listField, parseJson } from '../engine-answer.ts';
import { openNested } from '../nested-fields.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import { RequestFields } from '../request-fields.ts';
import { PARAMETERS } from './native-request.ts';

/** null for a list of prompts, and where the engine refuses to count. */
export async function countTgiTokens(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  switch (request.route.kind) {
    case 'chat':
      return countChat(io, request, signal);
    case 'completion':
      // With a suffix the engine builds another text from both.
      return request.object.members.has('suffix') ? null : countText(io, request, 'prompt', signal);
    case 'native-text': {
      const tokens = await countText(io, request, 'inputs', signal);
      const truncate = truncateOf(request);
      return tokens === null || truncate === null ? tokens : Math.min(tokens, truncate);
    }
    default:
      return null;
  }
}

async function countChat(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const reply = await io.post('/chat_tokenize', request.body, signal);
  if (reply.status !== 200) return null;
  return lengthOf(listField(parseJson(reply.body), 'tokenize_response'));
}

async function countText(
  io: EngineIo,
  request: ScannedRequest,
  name: string,
  signal: AbortSignal,
): Promise<number | null> {
  const text = request.object.members.get(name);
  if (text?.kind !== 'string') return null;
  const body = `{"inputs":${memberJson(request.body, text)}}`;
  const reply = await io.post('/tokenize', body, signal);
  const tokens = reply.status === 200 ? parseJson(reply.body) : null;
  return Array.isArray(tokens) ? lengthOf(tokens) : null;
}

function truncateOf(request: ScannedRequest): number | null {
  const nested = openNested(request, PARAMETERS);
  if ('invalid' in nested) return null;
  return new RequestFields(nested).integer('truncate', { min: 1, max: MAX_INT32 });
}

/** No prompt is empty: a list that is, is an answer of another kind. */
function lengthOf(tokens: readonly unknown[]): number | null {
  return tokens.length === 0 ? null : tokens.length;
}
