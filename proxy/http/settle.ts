/**
 * Follows an admitted request while it runs and settles it at its end: the
 * lease learns of each token, the metrics and whoever learns of the outcome.
 */
import type { Usage } from '../../backend-adapters/adapter.ts';
import { contextTokensOf, heldUnits } from '../memory/charge.ts';
import { endedBy } from '../policy/ended-by.ts';
import type { RequestShape } from '../policy/types.ts';
import type { Admitted } from '../state/admission-result.ts';
import type { Clock } from '../state/clock.ts';
import { tagsOf } from '../state/instance-tags.ts';
import type { Lease } from '../state/lease.ts';
import type { InstanceTags, Metrics } from '../state/metrics.ts';
import type { Learner, Settled, SettledRequest } from '../state/settled.ts';

export interface Progress {
  /** All output tokens so far, of all sequences. */
  readonly tokens: (outputTokens: number) => void;
  /** The answer ran to its end. */
  readonly complete: (result: { usage: Usage | null; outputTokens: number }) => void;
}

export interface SettlementParts {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly learners: readonly Learner[];
}

export class Settlement {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #learners: readonly Learner[];
  /** Requests that count as changed: one that was taken back is sent again as the same. */
  readonly #changed = new WeakSet<RequestShape>();

  constructor({ metrics, clock, learners }: SettlementParts) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#learners = learners;
  }

  cancelled(by: 'client' | 'operator' | 'backend' | 'drain' | 'brake'): void {
    this.#metrics.streamCancelled(by);
  }

  /**
   * @param path the route the request came in by
   * @param changed whether the level or a shrink changed anything about the request
   */
  begin(admitted: Admitted, shape: RequestShape, path: string, changed: boolean): Progress {
    const { lease, instance, decision } = admitted;
    const tags = tagsOf(instance);
    const metrics = this.#metrics;
    const beganAtMs = this.#clock.nowMs();
    let ttftMs: number | null = null;
    let lastTokenAtMs = beganAtMs;
    let seenTokens = 0;
    if (changed && decision.level !== 'low' && !this.#changed.has(shape)) {
      this.#changed.add(shape);
      metrics.degraded(decision.level, tags);
    }

    return {
      tokens: (outputTokens) => {
        if (outputTokens <= seenTokens) return;
        seenTokens = outputTokens;
        const nowMs = this.#clock.nowMs();
        lease.generated(Math.ceil(outputTokens / decision.charge.sequences));
        if (!shape.stream) return;
        if (ttftMs === null) {
          ttftMs = nowMs - beganAtMs;
          metrics.observeTtft((ttftMs + admitted.queuedMs) / 1000, tags);
        } else {
          metrics.observeInterToken((nowMs - lastTokenAtMs) / 1000, tags);
        }
        lastTokenAtMs = nowMs;
      },
      complete: ({ usage, outputTokens }) => {
        const totalMs = this.#clock.nowMs() - beganAtMs;
        metrics.observeEndToEnd((totalMs + admitted.queuedMs) / 1000, tags);
        // Of several sequences an engine may tell the tokens of one only (llama.cpp does in streams).
        const told = decision.charge.sequences > 1 ? null : usage?.completionTokens;
        const generated = told ?? outputTokens;
        const settled: SettledRequest = {
          requestId: lease.terms.requestId,
          instance: instance.name,
          path,
          shape,
          decision,
          layout: lease.terms.layout,
          told: {
            promptTokens: usage?.promptTokens ?? null,
            cachedTokens: usage?.cachedTokens ?? null,
          },
          ttftMs,
          totalMs,
          ...lengthOf(
            admitted,
            shape,
            generated,
            usage?.promptTokens ?? decision.estimate.promptTokens.lo,
          ),
          promptTokens: usage?.promptTokens ?? decision.charge.promptTokens,
        };
        metrics.tokens('output', generated, tags);
        this.#count(settled, lease, tags);
        for (const learn of this.#learners) learn(settled);
      },
    };
  }

  #count(settled: SettledRequest, lease: Lease, tags: InstanceTags): void {
    const metrics = this.#metrics;
    const { promptTokens, outputTokens, told, decision } = settled;
    metrics.tokens('prompt', promptTokens, tags);
    metrics.prefixCacheHit(told.cachedTokens ?? 0, tags);
    const { outputTokens: forecast, promptTokens: bounds } = decision.estimate;
    // Of several sequences only the mean is known.
    const isLength = settled.endedBy === 'itself' && outputTokens > 0;
    if (forecast !== null && isLength && decision.charge.sequences === 1) {
      metrics.outputForecast(outputTokens <= forecast.q95Tokens, tags);
    }
    if (told.promptTokens === null) return;
    metrics.promptCounted(bounds, told.promptTokens, tags);
    const { layout, charge } = lease.terms;
    const actual = { ...charge, promptTokens: told.promptTokens };
    const sizes = {
      estimatedUnits: heldUnits(layout, charge, 'decode', outputTokens),
      actualUnits: heldUnits(layout, actual, 'decode', outputTokens),
    };
    metrics.leaseSettled(sizes, tags);
  }
}

/** @param promptTokens all of them; the fewest they can be, where the engine did not tell */
function lengthOf(
  { decision, lease }: Admitted,
  shape: RequestShape,
  generatedTokens: number,
  promptTokens: number,
): Pick<Settled, 'outputTokens' | 'endedBy'> {
  const { charge, grant } = decision;
  const outputTokens = Math.ceil(generatedTokens / charge.sequences);
  const limits = {
    asked: shape.requestedOutputTokens,
    set: grant.outputTokens,
    room: contextTokensOf(lease.terms.layout) - Math.ceil(promptTokens / shape.prompts),
  };
  return { outputTokens, endedBy: endedBy(outputTokens, limits) };
}
