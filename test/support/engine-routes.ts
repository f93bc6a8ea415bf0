/** The routes of the engines under test that speak an API which several of them share. */
import type { Adapter, Api, GenerationRoute, RequestKind } from '../../backend-adapters/adapter.ts';
import { splice } from '../../proxy/json/splice.ts';
import type { RequestShape, Sampling } from '../../proxy/policy/types.ts';
import { enginesUnderTest } from './engines-under-test.ts';
import { ANY_FACTS, scannedRequest } from './scanned-request.ts';

export interface EngineRoute {
  readonly name: string;
  readonly path: string;
  readonly adapter: Adapter;
  readonly route: GenerationRoute;
}

const SHARED: readonly Api[] = ['openai', 'responses', 'anthropic'];

/** Outside /v1 an engine's bodies are its own; vLLM's are the same everywhere. */
function isShared(name: string, { api, path }: GenerationRoute): boolean {
  return SHARED.includes(api) && (path.startsWith('/v1/') || name === 'vllm');
}

export function routesOfKind(kind: RequestKind): readonly EngineRoute[] {
  return enginesUnderTest.flatMap(({ name, adapter }) =>
    adapter.generationRoutes
      .filter((route) => route.kind === kind && isShared(name, route))
      .map((route) => ({ name, path: route.path, adapter, route })),
  );
}

/** The shape of a body that the test knows to be accepted. */
export function shapeOf({ adapter, route }: EngineRoute, body: unknown): RequestShape {
  const shape = adapter.parse(scannedRequest(route, body), ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

/** The body as it goes out, and the fields that are said to have changed. */
export function rewritten(
  { adapter, route }: EngineRoute,
  body: unknown,
  outputTokens: number | null,
  sampling: Sampling = {},
): { readonly text: string; readonly changed: readonly string[]; readonly asksForUsage: boolean } {
  const request = scannedRequest(route, body);
  const shape = adapter.parse(request, ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  const rewrite = adapter.rewrite(request, shape, { outputTokens, sampling });
  const bytes = splice(request.body, request.object, rewrite.edits);
  const text = new TextDecoder().decode(bytes);
  return { text, changed: rewrite.changed, asksForUsage: rewrite.asksForUsage };
}
