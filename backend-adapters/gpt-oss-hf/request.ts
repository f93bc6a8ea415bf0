/**
 * Requests as gpt-oss-hf-server takes them: a chat and little more. Everything
 * else in a body is ignored (server.py, ChatCompletionRequest).
 */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, Rewrite, ScannedRequest } from '../adapter.ts';
import { parseByRoute, rewriteByRoute } from '../by-route.ts';
import type { OpenAiDialect } from '../openai-dialect.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { cutPrompt } from './prompt-cut.ts';

/** Where a body names no max_tokens. */
const DEFAULT_OUTPUT_TOKENS = 100;

const DIALECT: OpenAiDialect = {
  routes: [],
  outputLimits: { chat: ['max_tokens'], completion: ['max_tokens'] },
  ignoredOutputLimit: 'max_completion_tokens',
  completionDefaultTokens: null,
  minusOneIsUnlimited: false,
  allowsPrefillOnly: false,
  outputFloor: null,
  sampleFields: ['n'],
  samplesAreIgnored: true,
  prompts: 'one-string',
  greedyNeedsOneSample: false,
  usageOnRequest: false,
  refusedFields: new Map(),
  responses: null,
  messages: null,
  embeddings: null,
  rankings: null,
};

const GREEDY_STREAM: InvalidRequest = {
  invalid:
    "temperature must be above 0 in a stream: gpt-oss-hf-server ends one with KeyError: 'temperature'",
  param: 'temperature',
};

export function parseGptOssHf(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const shape = parseByRoute(request, DIALECT, facts);
  if ('invalid' in shape) return shape;
  if (shape.stream && shape.temperature === 0) return GREEDY_STREAM;
  return {
    ...shape,
    promptTokens: cutPrompt(request, shape.promptTokens),
    requestedOutputTokens: shape.requestedOutputTokens ?? DEFAULT_OUTPUT_TOKENS,
  };
}

export function rewriteGptOssHf(
  request: ScannedRequest,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const { temperature, ...others } = grant.sampling;
  // A greedy stream would end with an error, so this change is left out.
  const isGreedyStream = shape.stream && temperature === 0;
  const sampling = isGreedyStream ? others : grant.sampling;
  const rewrite = rewriteByRoute(request, DIALECT, shape, { ...grant, sampling });
  const limit = nullLimit(request, rewrite);
  return {
    ...rewrite,
    edits: [...rewrite.edits, ...limit],
    changed: [...rewrite.changed, ...limit.map(({ key }) => key)],
    skipped: isGreedyStream ? [...rewrite.skipped, 'temperature'] : rewrite.skipped,
  };
}

/** An explicit null ends in a TypeError there; the default is what its sender means. */
function nullLimit(request: ScannedRequest, rewrite: Rewrite): Rewrite['edits'] {
  const isNull = request.object.members.get('max_tokens')?.kind === 'null';
  if (!isNull || rewrite.changed.includes('max_tokens')) return [];
  return [{ key: 'max_tokens', json: String(DEFAULT_OUTPUT_TOKENS) }];
}
