/** Bytes of a model's weights, where they are known without the file. */
import type { ModelSpec } from './model-spec.ts';

/**
 * The published checkpoints: experts in 4 bits with a scale byte for 32 of them,
 * the rest in bf16 (openai/gpt-oss, model.safetensors; counted from the shapes).
 * An engine that can't keep MXFP4 holds 3 times (20b) to 3.6 times (120b) as much.
 */
const CHECKPOINT_BYTES: ReadonlyMap<string, number> = new Map([
  ['gpt-oss-20b', 13_761_264_768],
  ['gpt-oss-120b', 65_248_815_744],
]);

/** null where it is not known: then nobody can say how many requests fit. */
export function knownWeightBytes({ id }: ModelSpec): number | null {
  return CHECKPOINT_BYTES.get(id) ?? null;
}
