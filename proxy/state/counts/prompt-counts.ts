/**
 * Counts the prompts for which it matters, by the first of these that can:
 *
 * 1. a count of the same body, made a while ago;
 * 2. the engine's own counter;
 * 3. kvgate's own tokenizer, where the engine has confirmed it (token-trust.ts);
 * 4. samples of a text that is too long for that: they move what is expected;
 * 5. nobody: the bounds by its bytes hold.
 */
import type { ScannedRequest } from '../../../backend-adapters/adapter.ts';
import { boundsFromCounts, type TokenBounds } from '../../memory/token-bounds.ts';
import type { Log } from '../log.ts';
import { isServing, type Pools, routeIn, type ServingInstance } from '../pools.ts';
import type { CountCache } from './count-cache.ts';
import type { LocalCounter } from './local-counter.ts';
import type { TokenCalibration } from './token-calibration.ts';
import type { TokenTrust } from './token-trust.ts';

/** Counting is worth less than this; the upper bound serves as well, only less exactly. */
const ENGINE_TIMEOUT_MS = 2_000;
/** Some engines want the text of the prompt, which is then made of the body in one piece. */
const LONGEST_BODY_BYTES = 4 * 1024 ** 2;

export interface CountingParts {
  readonly pools: Pools;
  readonly local: LocalCounter;
  readonly log: Log;
  readonly cache: CountCache;
  readonly trust: TokenTrust;
  readonly calibration: TokenCalibration;
}

export class PromptCounts {
  readonly #parts: CountingParts;

  constructor(parts: CountingParts) {
    this.#parts = parts;
  }

  /** What can be said of a prompt without counting it. */
  expected(instance: string, bounds: TokenBounds): TokenBounds {
    return this.#parts.calibration.applied(instance, bounds);
  }

  /**
   * @param instance speaks for all that serve the route
   * @param bounds proven from the request's bytes
   * @returns null where the bounds can't be bettered; never rejects
   */
  async count(
    instance: ServingInstance,
    request: ScannedRequest,
    bounds: TokenBounds,
    signal: AbortSignal,
  ): Promise<TokenBounds | null> {
    const { cache, local } = this.#parts;
    const key = cache.keyOf(instance.name, request.route.path, request.body);
    const known = cache.get(key);
    if (known !== null) return known;
    const counted =
      (await this.#byEngine(instance, request, signal)) ??
      (signal.aborted ? null : await this.#byTokenizer(instance, request, bounds));
    if (counted !== null) {
      cache.set(key, counted);
      return counted;
    }
    return signal.aborted ? null : local.sampled(instance, request, bounds);
  }

  async #byEngine(
    instance: ServingInstance,
    request: ScannedRequest,
    signal: AbortSignal,
  ): Promise<TokenBounds | null> {
    if (request.body.length > LONGEST_BODY_BYTES) return null;
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(ENGINE_TIMEOUT_MS)]);
    try {
      const tokens = await instance.adapter.countTokens(instance.io, request, bounded);
      if (tokens === null) return null;
      return { lo: tokens, expected: tokens, hi: tokens, source: 'engine' };
    } catch (error) {
      this.#parts.log.debug('Token count failed', {
        instance: instance.name,
        detail: String(error),
      });
      return null;
    }
  }

  /** Where the request will go is not decided yet, so all must be trusted that it may go to. */
  async #byTokenizer(
    instance: ServingInstance,
    request: ScannedRequest,
    bounds: TokenBounds,
  ): Promise<TokenBounds | null> {
    const { pools, trust, local } = this.#parts;
    const { path } = request.route;
    const able = pools.instances
      .filter(isServing)
      .filter(({ adapter }) => routeIn(adapter, path) !== null);
    if (!able.every(({ name }) => trust.of(name, path) === 'trusted')) return null;
    const counts = await local.counts(instance, request);
    if (counts === null) return null;
    const believed = able.map(({ name }) => trust.believed(name, path, counts));
    if (!believed.every((ranges) => ranges !== null)) return null;
    return boundsFromCounts(bounds, believed.flat());
  }
}
