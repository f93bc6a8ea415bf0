/**
 * What each layer of a model keeps of a sequence, as a config.json tells it.
 */
import type { ConfigFields } from './config-fields.ts';

/**
 * full: KV of every token; sliding, chunked: of a window; indexed: KV and the
 * keys of an indexer; state: a state of fixed size; hybrid: KV and such a state
 * side by side; experts, dense: feed-forward alone, nothing is kept.
 */
export type LayerKind =
  | 'full'
  | 'sliding'
  | 'chunked'
  | 'indexed'
  | 'state'
  | 'hybrid'
  | 'experts'
  | 'dense';

/** transformers: configuration_utils.py, ALLOWED_ATTN_LAYER_TYPES and the older names beside it. */
const KIND_BY_NAME: ReadonlyMap<unknown, LayerKind> = new Map([
  ['full_attention', 'full'],
  ['attention', 'full'],
  ['sliding_attention', 'sliding'],
  ['chunked_attention', 'chunked'],
  ['indexed_attention', 'indexed'],
  ['deepseek_sparse_attention', 'indexed'],
  ['linear_attention', 'state'],
  ['mamba', 'state'],
  ['conv', 'state'],
  ['hybrid', 'hybrid'],
  ['moe', 'experts'],
  ['mlp', 'dense'],
]);

/** transformers: NemotronHConfig._pattern_to_list. */
const KIND_BY_LETTER: ReadonlyMap<unknown, LayerKind> = new Map([
  ['M', 'state'],
  ['*', 'full'],
  ['E', 'experts'],
  ['-', 'dense'],
]);

/**
 * The kinds that a file lists, or null where it lists none. A problem is left
 * in `fields` for a kind that `known` does not have, and for a list of another
 * length than the model's layers.
 */
export function listedKinds(
  fields: ConfigFields,
  layers: number,
  known: ReadonlySet<LayerKind>,
): readonly LayerKind[] | null {
  const name = fields.firstSet(['layer_types', 'layers_block_type']);
  const names = fields.raw(name);
  if (names === null) return null;
  if (!Array.isArray(names) || names.length !== layers) {
    fields.reject(name, `must be an array of num_hidden_layers (${layers}) entries`);
    return [];
  }
  return kindsOf(fields, name, names, KIND_BY_NAME, known);
}

function kindsOf(
  fields: ConfigFields,
  field: string,
  names: readonly unknown[],
  table: ReadonlyMap<unknown, LayerKind>,
  known: ReadonlySet<LayerKind>,
): readonly LayerKind[] {
  return names.map((name) => {
    const kind = table.get(name);
    if (kind !== undefined && known.has(kind)) return kind;
    const shown = JSON.stringify(name)?.slice(0, 60);
    fields.reject(field, `${shown} layers are not supported${fields.inFamily}`);
    return 'full';
  });
}

/** How many layers `hybrid_override_pattern` or `layers_block_type` has: Nemotron-H counts them there. */
export function patternLayers(fields: ConfigFields): number | null {
  const name = fields.firstSet(['layers_block_type', 'layer_types', 'hybrid_override_pattern']);
  const pattern = fields.raw(name);
  return Array.isArray(pattern) || typeof pattern === 'string' ? pattern.length : null;
}

/** One letter a layer (Nemotron-H). */
export function patternKinds(fields: ConfigFields): readonly LayerKind[] {
  const pattern = fields.raw('hybrid_override_pattern');
  if (typeof pattern !== 'string') {
    fields.reject('hybrid_override_pattern', 'is missing or no text');
    return [];
  }
  const known = new Set(KIND_BY_LETTER.values());
  return kindsOf(fields, 'hybrid_override_pattern', [...pattern], KIND_BY_LETTER, known);
}
