/** A file that describes a model, whichever of the two kinds it is of. */
import type { GgufMetadata } from '../gguf/metadata.ts';
import { specFromGguf } from '../gguf/spec.ts';
import { type ModelSpecResult, modelSpecFromConfig } from './model-spec.ts';

/** What such a file holds; `path` is its name as reports show it. */
export type ModelFile =
  /** A parsed Hugging Face config.json. */
  | { readonly kind: 'config'; readonly path: string; readonly json: unknown }
  | { readonly kind: 'gguf'; readonly path: string; readonly metadata: GgufMetadata };

export function specFromModelFile(file: ModelFile): ModelSpecResult {
  return file.kind === 'gguf'
    ? specFromGguf(file.metadata, file.path)
    : modelSpecFromConfig(file.json, file.path);
}
