/** The geometry of the model an engine serves. */
import { findModel } from '../proxy/memory/catalog/catalog.ts';
import type { ModelSpec } from '../proxy/memory/models/model-spec.ts';
import type { EngineHints } from './adapter.ts';

/** What an operator reads where a model's geometry stays unknown. */
export const UNKNOWN_GEOMETRY =
  "the model's geometry is not known, so KV bytes and session limits can't be told: pass --model-config with its config.json or GGUF file";

/** The operator's word, else the catalogue's under any name the engine gives; else null. */
export function knownModel(
  hints: EngineHints,
  names: readonly (string | null)[],
): ModelSpec | null {
  if (hints.modelSpec !== null) return hints.modelSpec;
  for (const name of names) {
    const spec = name === null ? null : findModel(name);
    if (spec !== null) return spec;
  }
  return null;
}
