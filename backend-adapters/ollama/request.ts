/** Requests to Ollama, whatever their API: checked, read, and bounded by the context of a slot. */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, Rewrite, ScannedRequest } from '../adapter.ts';
import { parseByRoute, rewriteByRoute } from '../by-route.ts';
import type { OpenAiDialect } from '../openai-dialect.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { parseNative, rewriteNative } from './native-request.ts';
import { misspeltField, reloadingOption } from './refusals.ts';
import { COMPLETIONS_DIALECT, OLD_EMBEDDINGS_DIALECT, OLLAMA_DIALECT } from './routes.ts';

/** Of the context, what is left to the answer to a prompt that fills it. */
const MAX_ROOM_FOR_OUTPUT = 1_024;

export function parseOllama(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const contextTokens = contextOf(facts);
  const isOwn = request.route.api === 'ollama';
  const refusal =
    misspeltField(request) ?? (isOwn ? reloadingOption(request, contextTokens) : null);
  if (refusal !== null) return refusal;
  const shape = isNative(request)
    ? parseNative(request, facts)
    : parseByRoute(request, dialectOf(request), facts);
  return 'invalid' in shape ? shape : withinContext(shape, contextTokens);
}

export function rewriteOllama(
  request: ScannedRequest,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  return isNative(request)
    ? rewriteNative(request, shape, grant)
    : rewriteByRoute(request, dialectOf(request), shape, grant);
}

function isNative({ route }: ScannedRequest): boolean {
  return route.kind === 'native-chat' || route.kind === 'native-text';
}

function dialectOf({ route }: ScannedRequest): OpenAiDialect {
  if (route.path === '/api/embeddings') return OLD_EMBEDDINGS_DIALECT;
  return route.kind === 'completion' ? COMPLETIONS_DIALECT : OLLAMA_DIALECT;
}

function contextOf({ layout }: EngineFacts): number {
  return layout.model === 'dynamic' ? layout.spec.contextTokens : layout.contextTokens;
}

/**
 * Ollama makes every prompt fit, by leaving out what came first, so none is too
 * long. Which part is left out is not known: of a prompt that may be cut, no
 * part is sure to be there.
 */
function withinContext(shape: RequestShape, contextTokens: number): RequestShape {
  const { prompts, promptTokens, requestedOutputTokens } = shape;
  const room = Math.min(MAX_ROOM_FOR_OUTPUT, Math.floor(contextTokens / 2));
  const output = Math.min(requestedOutputTokens ?? room, room);
  const most = prompts * (contextTokens - output);
  if (promptTokens.hi <= most) return shape;
  const expected = Math.min(promptTokens.expected, most);
  return { ...shape, promptTokens: { ...promptTokens, lo: prompts, expected, hi: most } };
}
