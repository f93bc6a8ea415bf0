/**
 * One way in for engines whose routes speak APIs that several of them share:
 * the kind of a route says who reads its bodies, its API who reads its answers.
 */
import type { RequestShape } from '../proxy/policy/types.ts';
import type {
  EngineFacts,
  GenerationRoute,
  InvalidRequest,
  Rewrite,
  ScannedRequest,
  StreamEvent,
  Usage,
} from './adapter.ts';
import { messagesStreamEvent, messagesUsage } from './messages-answer.ts';
import { parseMessages, thinkingEdits } from './messages-request.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { outputRules } from './openai-limits.ts';
import { parseOpenAi } from './openai-request.ts';
import { openAiStreamEvent, openAiUsage } from './openai-response.ts';
import { type RewriteGrant, rewriteOpenAi } from './openai-rewrite.ts';
import { parseEmbedding, parseRanking } from './pooling-request.ts';
import { responsesStreamEvent, responsesUsage } from './responses-answer.ts';
import { parseResponses } from './responses-request.ts';

const UNTOUCHED: Rewrite = { edits: [], changed: [], skipped: [], asksForUsage: false };

export function parseByRoute(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const { kind, path } = request.route;
  const { responses, messages, embeddings, rankings } = dialect;
  switch (kind) {
    case 'chat':
    case 'completion':
      return parseOpenAi(request, kind, dialect, facts);
    case 'responses':
      if (responses !== null) return parseResponses(request, dialect, responses, facts);
      break;
    case 'messages':
      if (messages !== null) return parseMessages(request, dialect, messages, facts);
      break;
    case 'embedding':
      if (embeddings !== null) return parseEmbedding(request, dialect, embeddings, facts);
      break;
    case 'ranking':
      if (rankings !== null) return parseRanking(request, dialect, rankings, facts);
      break;
    default:
  }
  return { invalid: `${path} can't be read`, param: null };
}

export function rewriteByRoute(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const { kind } = request.route;
  if (outputRules(dialect, kind) === null) return UNTOUCHED;
  const rewrite = rewriteOpenAi(request, dialect, shape, grant);
  const { outputTokens } = grant;
  const isCut = rewrite.changed.includes('max_tokens');
  if (kind !== 'messages' || !isCut || outputTokens === null) return rewrite;
  const edits = [...rewrite.edits, ...thinkingEdits(request, outputTokens)];
  return { ...rewrite, edits, changed: edits.map((edit) => edit.key) };
}

export function usageByRoute(answer: unknown, { api }: GenerationRoute): Usage | null {
  switch (api) {
    case 'responses':
      return responsesUsage(answer);
    case 'anthropic':
      return messagesUsage(answer);
    default:
      return openAiUsage(answer);
  }
}

/** @param endsBy how the engine ends a stream of OpenAI's that went well */
export function streamEventByRoute(
  data: string,
  { api }: GenerationRoute,
  endsBy: 'done' | 'finish-reason',
): StreamEvent {
  switch (api) {
    case 'responses':
      return responsesStreamEvent(data);
    case 'anthropic':
      return messagesStreamEvent(data);
    default:
      return openAiStreamEvent(data, endsBy);
  }
}
