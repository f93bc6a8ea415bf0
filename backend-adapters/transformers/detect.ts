/**
 * Telling `transformers serve` from others. It has no banner: it says it is
 * well, lists models, and gives every answer an id. The simulated server signs
 * its models instead.
 */
import type { EngineIo } from '../adapter.ts';
import { field, listField, parseJson, tryGetJson } from '../engine-answer.ts';
import { checkHealth } from './probe.ts';

/** True when the server behind `io` is one. Never throws. */
export async function isTransformers(io: EngineIo, signal: AbortSignal): Promise<boolean> {
  try {
    const health = await checkHealth(io, signal);
    if (field(parseJson(health.body), 'status') !== 'ok') return false;
    const hasId = health.headers['x-request-id'] !== undefined;
    const listing = await tryGetJson(io, '/v1/models', signal);
    // Its list is that of the local cache, and a 500 where there is none.
    if (listing === null) return hasId && (await hasItsRoutes(io, signal));
    const models = listField(listing, 'data');
    if (field(listing, 'object') !== 'list' || models.some(isOfAnother)) return false;
    return hasId || models.some(isSimulated);
  } catch {
    return false;
  }
}

/** FastAPI describes its routes; these two no other engine has beside each other. */
async function hasItsRoutes(io: EngineIo, signal: AbortSignal): Promise<boolean> {
  const paths = field(await tryGetJson(io, '/openapi.json', signal), 'paths');
  return field(paths, '/load_model') !== undefined && field(paths, '/reset') !== undefined;
}

/** Engines that list their models the same way put their name or a context length beside them. */
function isOfAnother(model: unknown): boolean {
  const owner = field(model, 'owned_by');
  return (
    field(model, 'max_model_len') !== undefined ||
    field(model, 'meta') !== undefined ||
    ['llamacpp', 'vllm', 'sglang', 'library'].some((name) => name === owner)
  );
}

function isSimulated(model: unknown): boolean {
  return field(model, 'owned_by') === 'kvgate-simulated';
}
