/** How many KV cells llama.cpp allocates at start, and what they weigh. */
import type { ModelGeometry } from './geometry.ts';
import { kvBytesPerTokenLayer } from './geometry.ts';

const CELL_PADDING = 256;
/** llama-server's default `-ub`. */
const MICRO_BATCH_TOKENS = 512;

export interface SlotsShape {
  /** `-c`. */
  readonly contextTokens: number;
  readonly slots: number;
  readonly unified: boolean;
}

/** Cells one sequence may use, which is what every slot reports as `n_ctx` (llama-context.cpp). */
export function slotContextTokens({ contextTokens, slots, unified }: SlotsShape): number {
  return padded(unified ? contextTokens : Math.floor(contextTokens / slots));
}

/** Full layers hold all cells, sliding ones their window and a batch (llama-kv-cache-iswa.cpp). */
export function slotsPoolBytes(shape: SlotsShape, model: ModelGeometry): number {
  const cells = slotContextTokens(shape);
  const windows = model.windowTokens * (shape.unified ? shape.slots : 1);
  const slidingCells = padded(Math.min(cells, windows + MICRO_BATCH_TOKENS));
  const streams = shape.unified ? 1 : shape.slots;
  const layerCells = model.fullLayers * cells + model.slidingLayers * slidingCells;
  return streams * layerCells * kvBytesPerTokenLayer(model);
}

function padded(cells: number): number {
  return Math.ceil(cells / CELL_PADDING) * CELL_PADDING;
}
