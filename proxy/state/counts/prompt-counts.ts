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
import type { RequestShape } from '../../policy/types.ts';
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

/** What is to be counted: the request, and the bounds proven from its bytes. */
interface Prompt {
  /** Speaks for all that serve the route. */
  readonly instance: ServingInstance;
  readonly request: ScannedRequest;
  readonly model: string | null;
  readonly bounds: TokenBounds;
}

/** Never rejects; null where the bounds can't be bettered. */
export type CountPrompt = (signal: AbortSignal) => Promise<TokenBounds | null>;

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
   * @returns null where it is known by now that nobody can count the prompt
   */
  counterFor(
    instance: ServingInstance,
    request: ScannedRequest,
    { model, promptTokens: bounds }: Pick<RequestShape, 'model' | 'promptTokens'>,
  ): CountPrompt | null {
    const prompt = { instance, request, model, bounds };
    // Without trust nothing is remembered either: only what is believed is kept.
    const isCounted =
      instance.adapter.hasNoCounter !== true ||
      this.#isTrusted(prompt) ||
      this.#parts.local.isSampled(instance, request);
    return isCounted ? (signal) => this.#count(prompt, signal) : null;
  }

  async #count(prompt: Prompt, signal: AbortSignal): Promise<TokenBounds | null> {
    const { instance, request, bounds } = prompt;
    const { cache, local } = this.#parts;
    const key = cache.keyOf(instance.name, request.route.path, request.body);
    const known = cache.get(key);
    if (known !== null) return known;
    const counted =
      (await this.#byEngine(instance, request, signal)) ??
      (signal.aborted ? null : await this.#byTokenizer(prompt));
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

  async #byTokenizer(prompt: Prompt): Promise<TokenBounds | null> {
    const { trust, local } = this.#parts;
    if (!this.#isTrusted(prompt)) return null;
    const counts = await local.counts(prompt.instance, prompt.request);
    // Trust may be lost meanwhile, and an instance be there that was not.
    if (counts === null || !this.#isTrusted(prompt)) return null;
    const { model, request } = prompt;
    const { path } = request.route;
    const believed = this.#able(path).map(({ name }) =>
      trust.believed({ instance: name, path, model }, counts),
    );
    if (!believed.every((ranges) => ranges !== null)) return null;
    return boundsFromCounts(prompt.bounds, believed.flat());
  }

  /** Where the request will go is not decided yet, so all must be trusted that it may go to. */
  #isTrusted({ instance, request, model }: Prompt): boolean {
    const { trust, local } = this.#parts;
    const { path } = request.route;
    const vocabulary = local.vocabularyOf(instance);
    if (vocabulary === null || !trust.isGiven({ instance: instance.name, path, model })) {
      return false;
    }
    return this.#able(path).every(
      (able) =>
        local.vocabularyOf(able) === vocabulary &&
        trust.isGiven({ instance: able.name, path, model }),
    );
  }

  #able(path: string): readonly ServingInstance[] {
    return this.#parts.pools.instances
      .filter(isServing)
      .filter(({ adapter }) => routeIn(adapter, path) !== null);
  }
}
