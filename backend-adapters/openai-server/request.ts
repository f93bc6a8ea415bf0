/**
 * Requests to a server whose rules are not known: where servers differ, the
 * reading that asks for more is taken, and every alias of a limit is lowered.
 */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type {
  EngineFacts,
  GenerationRoute,
  InvalidRequest,
  Rewrite,
  ScannedRequest,
} from '../adapter.ts';
import { parseByRoute, rewriteByRoute } from '../by-route.ts';
import type { OpenAiDialect } from '../openai-dialect.ts';
import { limitValue } from '../openai-limits.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { RequestFields } from '../request-fields.ts';

/** Which of them a server obeys where both are given, it alone knows. */
const CHAT_LIMITS = ['max_completion_tokens', 'max_tokens'] as const;

export const OPENAI_ROUTES: readonly GenerationRoute[] = [
  { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
  { path: '/v1/completions', kind: 'completion', api: 'openai' },
  { path: '/v1/responses', kind: 'responses', api: 'responses' },
  { path: '/v1/embeddings', kind: 'embedding', api: 'openai' },
];

const DIALECT: OpenAiDialect = {
  routes: OPENAI_ROUTES,
  outputLimits: { chat: CHAT_LIMITS, completion: ['max_tokens'] },
  ignoredOutputLimit: null,
  completionDefaultTokens: null,
  minusOneIsUnlimited: true,
  allowsPrefillOnly: false,
  outputFloor: null,
  sampleFields: ['n', 'best_of'],
  samplesAreIgnored: false,
  prompts: 'lists',
  greedyNeedsOneSample: false,
  // A server that does not know stream_options may refuse the whole request.
  usageOnRequest: false,
  refusedFields: new Map(),
  responses: {
    outputLimits: ['max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: false,
    refusedFields: new Map(),
  },
  messages: null,
  embeddings: {
    inputs: ['input'],
    prompts: 'lists',
    refusedFields: new Map(),
    takesMessages: false,
  },
  rankings: null,
};

export function parseOpenAiServer(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const shape = parseByRoute(request, DIALECT, facts);
  if ('invalid' in shape || request.route.kind !== 'chat') return shape;
  const limits = chatLimits(request).map(({ value }) => value);
  if (limits.length < 2) return shape;
  const requestedOutputTokens = limits.includes(-1) ? null : Math.max(...limits);
  return { ...shape, requestedOutputTokens };
}

export function rewriteOpenAiServer(
  request: ScannedRequest,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const rewrite = rewriteByRoute(request, DIALECT, shape, grant);
  const granted = grant.outputTokens;
  if (granted === null || request.route.kind !== 'chat') return rewrite;
  const missed = chatLimits(request)
    .filter(({ value }) => value === -1 || value > granted)
    .filter(({ key }) => !rewrite.changed.includes(key))
    .map(({ key }) => ({ key, json: String(granted) }));
  return {
    ...rewrite,
    edits: [...missed, ...rewrite.edits],
    changed: [...missed.map(({ key }) => key), ...rewrite.changed],
  };
}

function chatLimits(request: ScannedRequest): readonly { key: string; value: number }[] {
  const fields = new RequestFields(request);
  return CHAT_LIMITS.flatMap((key) => {
    const value = limitValue(fields, DIALECT, 'chat', key);
    return value === null ? [] : [{ key, value }];
  });
}
