/** The geometry of the model that a server has loaded, from the model's own file. */
import { specFromGguf } from '../../proxy/memory/gguf/spec.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineIo } from '../adapter.ts';
import { countField } from '../engine-answer.ts';

/** As long as a path may be (limits.h, PATH_MAX). */
const MAX_PATH_CHARS = 4_096;

/**
 * @param path as the server tells it
 * @returns null where the file can't be read from here, or does not tell
 */
export async function specOfModelFile(
  io: EngineIo,
  path: string | null,
  signal: AbortSignal,
): Promise<ModelSpec | null> {
  if (path === null || path.length > MAX_PATH_CHARS || io.modelMetadata === undefined) return null;
  const metadata = await io.modelMetadata(path, signal);
  const told = metadata === null ? null : specFromGguf(metadata, path);
  return told?.ok ? told.spec : null;
}

/**
 * Whether a file read here is that of the loaded model: who listens may be a tunnel
 * to another host, whose file of the same name it is not, and files are replaced.
 * @param meta of the model in /v1/models, numbers of which are told or not
 *   (server-context.cpp, get_meta)
 */
export function isOfLoaded(spec: ModelSpec, meta: unknown): boolean {
  const width = countField(meta, 'n_embd') ?? spec.hiddenSize;
  const contextTokens = countField(meta, 'n_ctx_train') ?? spec.contextTokens;
  return width === spec.hiddenSize && contextTokens === spec.contextTokens;
}
