/**
 * Routes of Ollama that generate (server/routes.go, GenerateRoutes). Its
 * /v1/audio/transcriptions takes no JSON and is left out.
 */
import type { GenerationRoute } from '../adapter.ts';
import type { OpenAiDialect } from '../openai-dialect.ts';

export const OLLAMA_ROUTES: readonly GenerationRoute[] = [
  { path: '/api/chat', kind: 'native-chat', api: 'ollama' },
  { path: '/api/generate', kind: 'native-text', api: 'ollama' },
  { path: '/api/embed', kind: 'embedding', api: 'ollama' },
  { path: '/api/embeddings', kind: 'embedding', api: 'ollama' },
  { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
  { path: '/v1/completions', kind: 'completion', api: 'openai' },
  { path: '/v1/responses', kind: 'responses', api: 'responses' },
  { path: '/v1/messages', kind: 'messages', api: 'anthropic' },
  { path: '/v1/embeddings', kind: 'embedding', api: 'openai' },
];

const RENDER_ONLY = new Map([
  [
    '_debug_render_only',
    '_debug_render_only is not supported: it loads a model and generates nothing',
  ],
]);

const EMBEDDINGS = {
  inputs: ['input'],
  prompts: 'lists',
  refusedFields: new Map(),
  takesMessages: false,
} as const;

/** OpenAI's bodies as openai/openai.go and anthropic/anthropic.go read them. */
export const OLLAMA_DIALECT: OpenAiDialect = {
  routes: OLLAMA_ROUTES,
  outputLimits: { chat: ['max_tokens'], completion: ['max_tokens'] },
  // Not a field there: such a request would run to its end.
  ignoredOutputLimit: 'max_completion_tokens',
  completionDefaultTokens: null,
  minusOneIsUnlimited: true,
  // 0 is left out on the way to the runner, which then knows no limit.
  allowsPrefillOnly: false,
  outputFloor: null,
  sampleFields: ['n'],
  samplesAreIgnored: true,
  prompts: 'one-string',
  greedyNeedsOneSample: false,
  usageOnRequest: true,
  refusedFields: RENDER_ONLY,
  responses: {
    outputLimits: ['max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: false,
    refusedFields: new Map(),
  },
  messages: { missingLimit: 'required' },
  embeddings: EMBEDDINGS,
  rankings: null,
};

/** Who asks for usage there gets it in every chunk, as zeros (middleware/openai.go, CompleteWriter). */
export const COMPLETIONS_DIALECT: OpenAiDialect = { ...OLLAMA_DIALECT, usageOnRequest: false };

/** /api/embeddings reads another field than the routes that came after it. */
export const OLD_EMBEDDINGS_DIALECT: OpenAiDialect = {
  ...OLLAMA_DIALECT,
  embeddings: { ...EMBEDDINGS, inputs: ['prompt'], prompts: 'one-string' },
};
