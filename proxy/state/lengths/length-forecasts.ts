/**
 * Learns how long outputs are, and forecasts the next. A request belongs to
 * groups from its own kind to everything (policy/length-key.ts); it is forecast
 * from the first of them that knows enough, at the share that has kept the
 * promise of its kind (policy/coverage.ts).
 */
import { coveredShare, UNTRACKED, withOutcome } from '../../policy/coverage.ts';
import {
  type LengthCurve,
  type LengthSample,
  lengthAt,
  MAX_LENGTH_TOKENS,
  shareForNext,
  shareLonger,
} from '../../policy/length-curve.ts';
import { EVERYTHING, KIND_PARTS, type LengthKey, lengthKey } from '../../policy/length-key.ts';
import type { OutputForecast, RequestShape, TokenBounds } from '../../policy/types.ts';
import type { Settled, SettledRequest } from '../settled.ts';
import { LengthGroups, SAMPLES_NEEDED } from './length-groups.ts';

/** A group of one size of prompts must know this much before it is preferred to all sizes together. */
const SAMPLES_PREFERRED = 50;

export interface LengthOutcome extends Pick<Settled, 'outputTokens' | 'endedBy'> {
  /** What it was forecast at when it was admitted; null: it was not. */
  readonly forecastQ95Tokens: number | null;
}

/** What is known of one kind of request, or of everything, for people. */
export interface LengthSummary extends OutputForecast {
  /** Model, route, reasoning effort, tools; empty: of everything. */
  readonly kind: readonly (string | boolean | null)[];
  readonly samples: number;
  /** Of the latest outcomes; null where nothing was forecast yet, and of everything. */
  readonly coverage: number | null;
}

export class LengthForecasts {
  readonly groups = new LengthGroups();
  #learned = 0;

  /** Grows with each outcome that was learned from. */
  get learned(): number {
    return this.#learned;
  }

  /** Outputs whose lengths are known: learned from since the start, or restored. */
  get known(): number {
    return Math.max(this.#learned, this.groups.find(EVERYTHING)?.window.size ?? 0);
  }

  /**
   * The forecast of one sequence; null until enough was seen.
   * @param generatedTokens that it has produced already: only outputs longer than that are compared
   */
  forecast(key: LengthKey, generatedTokens = 0): OutputForecast | null {
    const curve = this.#curveFor(key, generatedTokens);
    if (curve === null) return null;
    const { share } = this.groups.find(key.kind)?.coverage ?? UNTRACKED;
    return forecastFrom(curve, share, generatedTokens);
  }

  /** The lengths that a forecast is made from; null as there. */
  curveOf(key: LengthKey, generatedTokens = 0): LengthCurve | null {
    return this.#curveFor(key, generatedTokens);
  }

  /** As `curveOf`, for a request before it runs; null as well where it generates nothing. */
  curveFor(shape: RequestShape, path: string, prompt: TokenBounds): LengthCurve | null {
    if (shape.kind === 'embedding' || shape.requestedOutputTokens === 0) return null;
    return this.#curveFor(lengthKey(shape, path, prompt.expected), 0);
  }

  /** The forecast for a request before it runs; null as well where it generates nothing. */
  forecastOf(shape: RequestShape, path: string, prompt: TokenBounds): OutputForecast | null {
    if (shape.kind === 'embedding' || shape.requestedOutputTokens === 0) return null;
    return this.forecast(lengthKey(shape, path, prompt.expected));
  }

  /** Of several sequences only the mean is known: no length of any, so nothing is learned. */
  settled({ shape, path, decision, outputTokens, endedBy }: SettledRequest): void {
    if (shape.kind === 'embedding' || decision.charge.sequences > 1) return;
    const { promptTokens, outputTokens: forecast } = decision.estimate;
    // By the prompt as it was estimated: so is the next one when it is forecast.
    const key = lengthKey(shape, path, promptTokens.expected);
    this.learn(key, { outputTokens, endedBy, forecastQ95Tokens: forecast?.q95Tokens ?? null });
  }

  /** Learns from one sequence that ran to its end or to its limit. */
  learn(key: LengthKey, outcome: LengthOutcome): void {
    const { outputTokens, endedBy, forecastQ95Tokens } = outcome;
    if (!(outputTokens >= 1)) return;
    this.#learned += 1;
    const length = Math.min(MAX_LENGTH_TOKENS, Math.round(outputTokens));
    const sample: LengthSample = endedBy === 'itself' ? length : -length;
    if (forecastQ95Tokens !== null) this.#track(key, sample, forecastQ95Tokens);
    for (const name of key.groups) this.groups.touch(name).window.add(sample);
  }

  /** Everything first, then each kind that knows enough to forecast. */
  summaries(): readonly LengthSummary[] {
    return [...this.groups.entries()]
      .filter(([, { window }]) => window.size >= SAMPLES_NEEDED)
      .map(([group, { window, coverage }]) => ({
        kind: JSON.parse(group) as LengthSummary['kind'],
        samples: window.size,
        coverage: coveredShare(coverage),
        ...forecastFrom(window.curve, coverage.share, 0),
      }))
      .filter(({ kind }) => kind.length === 0 || kind.length === KIND_PARTS)
      .sort((a, b) => (String(a.kind) < String(b.kind) ? -1 : 1));
  }

  #track(key: LengthKey, sample: LengthSample, givenQ95Tokens: number): void {
    const given = this.#missOf(key, sample, givenQ95Tokens);
    if (given === null) return;
    const forecast = this.forecast(key);
    const now = forecast === null ? null : this.#missOf(key, sample, forecast.q95Tokens);
    const kind = this.groups.touch(key.kind);
    kind.coverage = withOutcome(kind.coverage, { given, now });
  }

  /**
   * Whether an output was longer than a forecast. One that was cut below its
   * forecast would have been with the chance that outputs which reach the cut
   * go on beyond the forecast; one cut beyond it surely was. null where no
   * output that came so far is known.
   */
  #missOf(key: LengthKey, sample: LengthSample, q95Tokens: number): number | null {
    const length = Math.abs(sample);
    if (length > q95Tokens) return 1;
    if (sample > 0) return 0;
    const curve = this.#curveFor(key, length);
    return curve === null ? null : shareLonger(curve, q95Tokens) / shareLonger(curve, length);
  }

  /** The curve of the most specific group of which enough outputs were longer than that. */
  #curveFor({ groups }: LengthKey, generatedTokens: number): LengthCurve | null {
    for (const [index, name] of groups.entries()) {
      const window = this.groups.find(name)?.window;
      const needed = index === 0 ? SAMPLES_PREFERRED : SAMPLES_NEEDED;
      if (window === undefined || window.size < needed) continue;
      if (generatedTokens === 0) return window.curve;
      const longer = shareLonger(window.curve, generatedTokens) * window.size;
      // Shares are products, and not exact.
      if (longer > SAMPLES_NEEDED - 0.5) return window.curve;
    }
    return null;
  }
}

function forecastFrom(curve: LengthCurve, share: number, generatedTokens: number): OutputForecast {
  const at = (wanted: number) => lengthAt(curve, wanted, generatedTokens);
  const q95Tokens = at(shareForNext(curve, share));
  return {
    q50Tokens: Math.min(q95Tokens, at(0.5)),
    q95Tokens,
    q99Tokens: Math.max(q95Tokens, at(0.99)),
  };
}
