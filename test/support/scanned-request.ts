/** A generation request as an adapter gets it, from a body that the test knows to be JSON. */
import type {
  Api,
  EngineFacts,
  GenerationRoute,
  RequestKind,
  ScannedRequest,
} from '../../backend-adapters/adapter.ts';
import { DEFAULT_FRAMING } from '../../backend-adapters/framing.ts';
import { UNKNOWN_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import { bytesOf, scanObject } from './scan-json.ts';

export const CHAT = '/v1/chat/completions';
export const COMPLETION = '/v1/completions';

/** The routes that engines share; any other is given whole. */
const SHARED: ReadonlyArray<readonly [path: string, kind: RequestKind, api: Api]> = [
  [CHAT, 'chat', 'openai'],
  ['/chat/completions', 'chat', 'openai'],
  [COMPLETION, 'completion', 'openai'],
  ['/v1/responses', 'responses', 'responses'],
  ['/v1/messages', 'messages', 'anthropic'],
  ['/v1/embeddings', 'embedding', 'openai'],
];

function sharedRoute(path: string): GenerationRoute {
  const [, kind, api] = SHARED.find(([known]) => known === path) ?? [];
  if (kind === undefined || api === undefined) throw new Error(`${path} is no shared route`);
  return { path, kind, api };
}

export const CHAT_ROUTE: GenerationRoute = sharedRoute(CHAT);

export function scannedRequest(route: string | GenerationRoute, body: unknown): ScannedRequest {
  const bytes = bytesOf(typeof body === 'string' ? body : JSON.stringify(body));
  return {
    route: typeof route === 'string' ? sharedRoute(route) : route,
    body: bytes,
    object: scanObject(bytes),
  };
}

export const MESSAGES: readonly { role: string; content: string }[] = [
  { role: 'user', content: 'Say hello.' },
];

/** An engine of which nothing but what a parser needs is said. */
export const ANY_FACTS: EngineFacts = {
  layout: {
    model: 'slots',
    spec: null,
    kvBytesPerElement: 2,
    unified: false,
    slots: 4,
    contextTokens: 8192,
  },
  modelId: 'any',
  version: null,
  ranks: 1,
  media: UNKNOWN_MEDIA,
  warnings: [],
  framing: DEFAULT_FRAMING,
};
