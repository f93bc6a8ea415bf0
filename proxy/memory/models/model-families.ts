/**
 * The families of models whose files are understood, by `model_type`.
 */
import { ATTENTION_FAMILIES } from './attention-families.ts';
import { HYBRID_FAMILIES } from './hybrid-families.ts';
import { family, type ModelFamily } from './model-family.ts';

const FAMILIES: ReadonlyMap<string, ModelFamily> = new Map([
  ...ATTENTION_FAMILIES,
  ...HYBRID_FAMILIES,
]);

/** Plain attention: its file has to bear that out (unsupported-fields.ts). */
const UNKNOWN = family({});

export function familyOf(modelType: string | null): ModelFamily {
  return (modelType === null ? null : FAMILIES.get(modelType)) ?? UNKNOWN;
}
