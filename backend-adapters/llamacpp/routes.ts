/**
 * What llama-server answers (tools/server/server.cpp; asked of build 11669),
 * as far as it may be reached. Whatever generates is read and admitted; what
 * neither generates nor changes the server passes.
 *
 * In neither list, so refused: transcriptions (multipart), `/v1/systemone`
 * (a decision model's), `/predict` (Vertex AI's way in to every other route),
 * `/v1/stream` and `/v1/streams/lookup` (answers of other clients), POST
 * `/props` and `/lora-adapters`, `/slots` and its actions (other clients'
 * work), `/metrics` (a second reader disturbs the first), `/tools`,
 * `/cors-proxy`, and a router's `/models/*`.
 */
import type { GenerationRoute, PassthroughRoute } from '../adapter.ts';

export const GENERATION_ROUTES: readonly GenerationRoute[] = [
  { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
  { path: '/chat/completions', kind: 'chat', api: 'openai' },
  { path: '/v1/completions', kind: 'completion', api: 'openai' },
  { path: '/completion', kind: 'native-text', api: 'openai' },
  { path: '/completions', kind: 'native-text', api: 'openai' },
  { path: '/infill', kind: 'native-text', api: 'openai' },
  { path: '/v1/responses', kind: 'responses', api: 'responses' },
  { path: '/responses', kind: 'responses', api: 'responses' },
  { path: '/v1/messages', kind: 'messages', api: 'anthropic' },
  { path: '/v1/embeddings', kind: 'embedding', api: 'openai' },
  { path: '/embeddings', kind: 'embedding', api: 'openai' },
  { path: '/embedding', kind: 'embedding', api: 'openai' },
  { path: '/v1/rerank', kind: 'ranking', api: 'openai' },
  { path: '/v1/reranking', kind: 'ranking', api: 'openai' },
  { path: '/rerank', kind: 'ranking', api: 'openai' },
  { path: '/reranking', kind: 'ranking', api: 'openai' },
];

/** Files of the web pages that come with it, the present one's and the older ones' (server-http.cpp). */
const PAGES = [
  '/',
  '/index.html',
  '/loading.html',
  '/_app/*',
  '/bundle.js',
  '/bundle.css',
  '/sw.js',
  '/manifest.webmanifest',
  '/build.json',
  '/favicon.ico',
  '/favicon.svg',
  '/favicon-dark.ico',
  '/favicon-dark.svg',
  '/logo.svg',
  '/simplechat.js',
  '/simplechat.css',
  '/simplechat_screens.webp',
  '/ui.mjs',
  '/datautils.mjs',
];

const READ_ONLY = ['/props', '/v1/models', '/models', '/lora-adapters', '/v1/health'];

/** The last one ends the reasoning of an answer early, whose id only its own client knows. */
const COUNTERS_AND_CONTROL = [
  '/tokenize',
  '/detokenize',
  '/apply-template',
  '/v1/chat/completions/input_tokens',
  '/chat/completions/input_tokens',
  '/v1/responses/input_tokens',
  '/responses/input_tokens',
  '/v1/messages/count_tokens',
  '/v1/chat/completions/control',
];

export const PASSTHROUGH_ROUTES: readonly PassthroughRoute[] = [
  ...[...PAGES, ...READ_ONLY].map((path) => ({ method: 'GET', path }) as const),
  ...COUNTERS_AND_CONTROL.map((path) => ({ method: 'POST', path }) as const),
];
