/**
 * How one instance lays out KV in memory, and how many units of its own
 * currency a request holds there. Pure arithmetic over a ModelSpec.
 */
import type { ModelSpec } from './model-spec.ts';

export interface DynamicLayout {
  readonly model: 'dynamic';
  readonly spec: ModelSpec;
  readonly kvBytesPerElement: number;
  /** `eager` holds three score matrices at the peak of prefill; `flash` none. */
  readonly attention: 'eager' | 'flash';
}

export interface PagedLayout {
  readonly model: 'paged';
  readonly spec: ModelSpec | null;
  readonly kvBytesPerElement: number;
  readonly blockTokens: number;
  readonly contextTokens: number;
  /** Tokens of prefill in flight at a time (`max_num_batched_tokens`, doubled when async). */
  readonly inFlightTokens: number;
  readonly tensorParallel: number;
}

export interface SlotsLayout {
  readonly model: 'slots';
  readonly spec: ModelSpec | null;
  readonly kvBytesPerElement: number;
  /** Unified: all slots share one pool of `contextTokens` cells; split: each has its own. */
  readonly unified: boolean;
  readonly slots: number;
  /** Cells one sequence may use (`n_ctx` of a slot). */
  readonly contextTokens: number;
}

export type KvLayout = DynamicLayout | PagedLayout | SlotsLayout;
