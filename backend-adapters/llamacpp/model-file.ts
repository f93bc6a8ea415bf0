/** The geometry of the model that a server has loaded, from the model's own file. */
import { specFromGguf } from '../../proxy/memory/gguf/spec.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineIo } from '../adapter.ts';

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
