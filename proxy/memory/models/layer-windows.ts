/**
 * How many tokens the sliding and chunked layers of a model keep.
 */
import type { ConfigFields } from './config-fields.ts';
import type { LayerKind } from './layer-kinds.ts';
import type { LayerGroup } from './model-spec.ts';

type Window = Pick<LayerGroup, 'windowTokens' | 'chunked'>;

const FULL: Window = { windowTokens: null };
const MAX_WINDOW_TOKENS = 2 ** 27;

/**
 * The window of a layer by its kind. A file that lists sliding or chunked
 * layers must have their size; where the family's rule made them, a file that
 * sets none means full attention (transformers: Qwen2Config and its like).
 * `use_sliding_window` false switches sliding off whatever else is said.
 */
export function layerWindows(fields: ConfigFields, listed: boolean): (kind: LayerKind) => Window {
  const off = fields.raw('use_sliding_window') === false;
  const sliding = off ? null : fields.optional('sliding_window', MAX_WINDOW_TOKENS);
  const chunk = fields.optional('attention_chunk_size', MAX_WINDOW_TOKENS);
  return (kind) => {
    if (kind === 'sliding') {
      if (sliding === null && listed && !off) {
        fields.reject('sliding_window', 'is missing, but layer_types has sliding layers');
      }
      return { windowTokens: sliding };
    }
    if (kind !== 'chunked') return FULL;
    if (chunk === null) {
      fields.reject('attention_chunk_size', 'is missing, but the model has chunked layers');
    }
    return { windowTokens: chunk, chunked: true };
  };
}
