/** Counting prompts without their engine, as the state rooms need it. */
import type { ScannedRequest } from '../../../backend-adapters/adapter.ts';
import type { TokenBounds, TokenRange } from '../../memory/token-bounds.ts';
import type { ServingInstance } from '../pools.ts';

export interface LocalCounts {
  /** What is in the prompt that engines print each in a way of its own: few sets of few words. */
  readonly traits: string;
  /**
   * One for each way in which the engine may print the prompt, in the same order
   * for every request of a route; null for a way that can't print this one.
   */
  readonly counts: readonly (TokenRange | null)[];
}

/**
 * Never blocks the event loop, and never rejects: what can't be counted in time
 * is null, and the bounds that are known have to do.
 */
export interface LocalCounter {
  /** Names the vocabulary that is there for the instance's model; null: none is. */
  vocabularyOf(instance: ServingInstance): string | null;
  counts(instance: ServingInstance, request: ScannedRequest): Promise<LocalCounts | null>;
  /** Whether the text is too long to be counted, so that `sampled` may tell something. */
  isSampled(instance: ServingInstance, request: ScannedRequest): boolean;
  /** For such text: the bounds, with an expectation from samples of it. */
  sampled(
    instance: ServingInstance,
    request: ScannedRequest,
    bounds: TokenBounds,
  ): Promise<TokenBounds | null>;
}
