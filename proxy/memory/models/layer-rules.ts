/**
 * The rules by which families lay out their layers where a file does not list
 * them: each is that of the family's config class in transformers.
 */
import type { ConfigFields } from './config-fields.ts';
import type { LayerKind } from './layer-kinds.ts';

/** The kinds of all layers. A problem is left in `fields`. */
export type KindRule = (fields: ConfigFields, layers: number) => readonly LayerKind[];

const MAX_INTERVAL = 1024;

export function everyLayer(kind: LayerKind): KindRule {
  return (_, layers) => Array.from({ length: layers }, () => kind);
}

/** Layers n, 2n, ... are full, those between are `kind`; n is read from `field` where it is set. */
export function fullEvery(n: number, kind: LayerKind, field?: string): KindRule {
  return (fields, layers) => {
    const interval = (field === undefined ? null : fields.optional(field, MAX_INTERVAL)) ?? n;
    return Array.from({ length: layers }, (_, layer) =>
      (layer + 1) % interval === 0 ? 'full' : kind,
    );
  };
}

/** By `sliding_window_pattern` or `max_window_layers`, where a file has one of them; else all layers slide. */
export function slidingAsTold(fields: ConfigFields, layers: number): readonly LayerKind[] {
  const rule =
    fields.raw('sliding_window_pattern') === null
      ? slidingAfter(0)
      : fullEvery(1, 'sliding', 'sliding_window_pattern');
  return rule(fields, layers);
}

/** The first `max_window_layers` layers are full, the rest slide. */
export function slidingAfter(defaultFullLayers: number): KindRule {
  return (fields, layers) => {
    const full = firstLayers(fields) ?? defaultFullLayers;
    return Array.from({ length: layers }, (_, layer) => (layer < full ? 'full' : 'sliding'));
  };
}

/** Every other one of the first `max_window_layers` layers slides, the rest are full. */
export function alternateBefore(defaultLayers: number): KindRule {
  return (fields, layers) => {
    const last = firstLayers(fields) ?? defaultLayers;
    return Array.from({ length: layers }, (_, layer) =>
      layer % 2 === 0 && layer < last ? 'sliding' : 'full',
    );
  };
}

function firstLayers(fields: ConfigFields): number | null {
  return fields.raw('max_window_layers') === 0
    ? 0
    : fields.optional('max_window_layers', MAX_INTERVAL * MAX_INTERVAL);
}

/**
 * Layers with a rotary embedding are of one kind, those without of another:
 * `no_rope_layers` has a 1 for each with, or is empty, and every fourth is
 * without (transformers: Llama4TextConfig, SmolLM3Config).
 */
export function byRotary(kinds: {
  readonly rotary: LayerKind;
  readonly without: LayerKind;
}): KindRule {
  return (fields, layers) => {
    const interval = fields.optional('no_rope_layer_interval', MAX_INTERVAL) ?? 4;
    const listed = fields.list('no_rope_layers', layers) ?? [];
    if (listed.length !== 0 && listed.length !== layers) {
      fields.reject('no_rope_layers', `must have num_hidden_layers (${layers}) entries or none`);
    }
    return Array.from({ length: layers }, (_, layer) => {
      const rotary = listed.length === 0 ? (layer + 1) % interval !== 0 : isOne(listed[layer]);
      return rotary ? kinds.rotary : kinds.without;
    });
  };
}

function isOne(value: unknown): boolean {
  return value === 1 || value === true;
}

/** Layers whose index is in `field` are full, the others of `kind`; without the field `absent` holds for all. */
export function fullAt(field: string, kind: LayerKind, absent: LayerKind): KindRule {
  return (fields, layers) => {
    const indices = fields.list(field, layers);
    if (indices === null) return everyLayer(absent)(fields, layers);
    const full = layerIndices(fields, field, indices, layers, 0);
    return Array.from({ length: layers }, (_, layer) => (full.has(layer) ? 'full' : kind));
  };
}

/** Layers `attn_layer_offset`, + `attn_layer_period`, ... are full (transformers: JambaConfig). */
export function fullAtPeriod(fields: ConfigFields, layers: number): readonly LayerKind[] {
  const period = fields.required('attn_layer_period', MAX_INTERVAL);
  const zero = fields.raw('attn_layer_offset') === 0;
  const offset = zero ? 0 : fields.required('attn_layer_offset', MAX_INTERVAL);
  if (offset >= period) fields.reject('attn_layer_offset', 'must be below attn_layer_period');
  return Array.from({ length: layers }, (_, layer) =>
    layer % period === offset ? 'full' : 'state',
  );
}

/**
 * Kimi Linear lists both kinds of layers, counted from one, inside
 * `linear_attn_config` (transformers: KimiLinearConfig).
 */
export function kimiKinds(fields: ConfigFields, layers: number): readonly LayerKind[] {
  const inner = fields.inside('linear_attn_config');
  const full = inner?.list('full_attn_layers', layers) ?? null;
  const linear = inner?.list('kda_layers', layers) ?? null;
  if (inner === null || full === null || linear === null) {
    fields.reject('linear_attn_config', 'must list full_attn_layers and kda_layers');
    return [];
  }
  const fullLayers = layerIndices(inner, 'full_attn_layers', full, layers, 1);
  const linearLayers = layerIndices(inner, 'kda_layers', linear, layers, 1);
  return Array.from({ length: layers }, (_, layer) => {
    if (fullLayers.has(layer) === linearLayers.has(layer)) {
      inner.reject('kda_layers', 'and full_attn_layers must share out all layers');
    }
    return fullLayers.has(layer) ? 'full' : 'state';
  });
}

function layerIndices(
  fields: ConfigFields,
  field: string,
  values: readonly unknown[],
  layers: number,
  first: 0 | 1,
): ReadonlySet<number> {
  const indices = new Set<number>();
  for (const value of values) {
    if (
      typeof value === 'number' &&
      Number.isInteger(value) &&
      value >= first &&
      value < layers + first
    ) {
      indices.add(value - first);
    } else {
      fields.reject(field, `must hold layers from ${first} to ${layers - 1 + first}`);
    }
  }
  return indices;
}
