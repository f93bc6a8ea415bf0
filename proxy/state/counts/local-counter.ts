/** Counting prompts without their engine, as the state rooms need it. */
import type { ScannedRequest } from '../../../backend-adapters/adapter.ts';
import type { TokenBounds, TokenRange } from '../../memory/token-bounds.ts';
import type { ServingInstance } from '../pools.ts';

/**
 * Never blocks the event loop, and never rejects: what can't be counted in time
 * is null, and the bounds that are known have to do.
 */
export interface LocalCounter {
  /** Whether the vocabulary of the instance's model is there to count with. */
  knows(instance: ServingInstance): boolean;
  /**
   * One count for each way in which the engine may print the prompt, in the same
   * order for every request of a route; null for a way that can't print this one.
   */
  counts(
    instance: ServingInstance,
    request: ScannedRequest,
  ): Promise<readonly (TokenRange | null)[] | null>;
  /** For text that is too long to count: the bounds, with an expectation from samples of it. */
  sampled(
    instance: ServingInstance,
    request: ScannedRequest,
    bounds: TokenBounds,
  ): Promise<TokenBounds | null>;
}
