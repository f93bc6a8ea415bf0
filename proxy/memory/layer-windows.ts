/**
 * Which layers of a model slide, and how many tokens they keep.
 */
import type { ConfigFields } from './config-fields.ts';

const MAX_WINDOW_TOKENS = 2 ** 27;

/**
 * Every n-th layer is full attention in these families, whose older files have
 * no `layer_types`: the rule is in the config class of the model
 * (transformers: Gemma2Config, Gemma3TextConfig, Cohere2Config).
 */
const FULL_EVERY: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3_text: 6,
  cohere2: 4,
};

/**
 * The window of each layer in tokens, null for full attention. A problem is
 * left in `fields`. Without `layer_types` a set `sliding_window` makes every
 * layer slide (transformers, cache_utils.get_layer_types_and_kwargs) except
 * those that the model's family keeps full.
 */
export function layerWindows(fields: ConfigFields, layers: number): readonly (number | null)[] {
  const kinds = fields.raw('layer_types');
  const window =
    fields.raw('use_sliding_window') === false
      ? null
      : fields.optional('sliding_window', MAX_WINDOW_TOKENS);
  if (kinds !== null) return windowsByKind(fields, kinds, layers, window);
  const slides = slidingRule(fields);
  return Array.from({ length: layers }, (_, layer) => (slides(layer) ? window : null));
}

function windowsByKind(
  fields: ConfigFields,
  kinds: unknown,
  layers: number,
  window: number | null,
): readonly (number | null)[] {
  if (!Array.isArray(kinds) || kinds.length !== layers) {
    fields.reject('layer_types', `must be an array of num_hidden_layers (${layers}) entries`);
    return [];
  }
  return kinds.map((kind: unknown) => {
    if (kind === 'full_attention') return null;
    if (kind !== 'sliding_attention') {
      const shown = JSON.stringify(kind)?.slice(0, 60);
      fields.reject('layer_types', `${shown} layers are not supported, only full and sliding ones`);
    } else if (window === null && fields.raw('use_sliding_window') !== false) {
      fields.reject('sliding_window', 'is missing, but layer_types has sliding layers');
    }
    return window;
  });
}

/** Whether a layer slides, for a file that lists no kinds but may set a window. */
function slidingRule(fields: ConfigFields): (layer: number) => boolean {
  const family = fields.raw('model_type');
  const fullEvery =
    fields.optional('sliding_window_pattern', MAX_WINDOW_TOKENS) ??
    (typeof family === 'string' && Object.hasOwn(FULL_EVERY, family) ? FULL_EVERY[family] : null) ??
    null;
  if (fullEvery !== null) return (layer) => (layer + 1) % fullEvery !== 0;
  // Qwen2Config: the first max_window_layers layers are full, the rest slide.
  const firstSliding = fields.optional('max_window_layers', MAX_WINDOW_TOKENS) ?? 0;
  return (layer) => layer >= firstSliding;
}
