/**
 * How many layers a model has, what each of them keeps, and which of them keep
 * something of their own.
 */
import type { ConfigFields } from './config-fields.ts';
import { type LayerKind, listedKinds, patternLayers } from './layer-kinds.ts';
import type { ModelFamily } from './model-family.ts';

export interface LayerPlan {
  /** Of every layer. */
  readonly all: readonly LayerKind[];
  /** Without the last ones, which use the KV of others. */
  readonly kinds: readonly LayerKind[];
  /** Whether the file said so itself, and not its family's rule. */
  readonly listed: boolean;
}

const MAX_LAYERS = 1024;

/** Reads the kinds of all layers; a problem is left in `fields`. */
export function planLayers(fields: ConfigFields, family: ModelFamily): LayerPlan {
  const layers = countLayers(fields, family);
  if (fields.problem !== null) return { all: [], kinds: [], listed: false };
  const known = new Set<LayerKind>(['full', 'sliding', 'chunked', ...family.more]);
  const listed = listedKinds(fields, layers, known);
  const all = fullAtTheEnd(family, listed ?? family.kinds(fields, layers));
  return { all, kinds: withoutSharers(fields, all), listed: listed !== null };
}

/** Nemotron-H's files tell the number of layers by the length of their pattern (NemotronHConfig). */
function countLayers(fields: ConfigFields, family: ModelFamily): number {
  const told = family.more.includes('dense') ? patternLayers(fields) : null;
  if (told === null) return fields.required('num_hidden_layers', MAX_LAYERS);
  if (told >= 1 && told <= MAX_LAYERS) return told;
  fields.reject('hybrid_override_pattern', `must have 1 to ${MAX_LAYERS} layers`);
  return 1;
}

/** transformers forces Gemma 4's last layer to be full (Gemma4TextConfig). */
function fullAtTheEnd(family: ModelFamily, kinds: readonly LayerKind[]): readonly LayerKind[] {
  return family.attention === 'global' && kinds.length > 0
    ? [...kinds.slice(0, -1), 'full']
    : kinds;
}

/**
 * The last layers use the KV of earlier ones and hold none of their own
 * (transformers: cache_utils.py, get_layer_types_and_kwargs).
 */
function withoutSharers(fields: ConfigFields, kinds: readonly LayerKind[]): readonly LayerKind[] {
  if (fields.raw('num_kv_shared_layers') === 0) return kinds;
  const sharers = fields.optional('num_kv_shared_layers', Math.max(1, kinds.length - 1)) ?? 0;
  return kinds.slice(0, kinds.length - sharers);
}
