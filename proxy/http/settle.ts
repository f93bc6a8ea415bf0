/**
 * Follows an admitted request while it runs and settles it at its end: the
 * lease learns of each token, the predictor and the metrics of the outcome.
 */
import type { Usage } from '../../backend-adapters/adapter.ts';
import { heldUnits } from '../memory/charge.ts';
import type { RequestShape } from '../policy/types.ts';
import type { Admitted } from '../state/admission-result.ts';
import type { Clock } from '../state/clock.ts';
import { tagsOf } from '../state/instance-tags.ts';
import type { Metrics } from '../state/metrics.ts';
import type { Predictor } from '../state/predictor.ts';

export interface Progress {
  /** All output tokens so far, of all sequences. */
  readonly tokens: (outputTokens: number) => void;
  /** The answer ran to its end. */
  readonly complete: (result: { usage: Usage | null; outputTokens: number }) => void;
}

export class Settlement {
  readonly #metrics: Metrics;
  readonly #predictor: Predictor;
  readonly #clock: Clock;

  constructor(metrics: Metrics, predictor: Predictor, clock: Clock) {
    this.#metrics = metrics;
    this.#predictor = predictor;
    this.#clock = clock;
  }

  cancelled(by: 'client' | 'operator' | 'backend' | 'drain'): void {
    this.#metrics.streamCancelled(by);
  }

  /** @param changed whether the level or a shrink changed anything about the request */
  begin(admitted: Admitted, shape: RequestShape, changed: boolean): Progress {
    const { lease, instance, decision } = admitted;
    const tags = tagsOf(instance);
    const metrics = this.#metrics;
    const beganAtMs = this.#clock.nowMs();
    let ttftMs: number | null = null;
    let lastTokenAtMs = beganAtMs;
    let seenTokens = 0;
    if (changed && decision.level !== 'low') metrics.degraded(decision.level, tags);

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
        const promptTokens = usage?.promptTokens ?? decision.charge.promptTokens;
        // Of several sequences an engine may tell the tokens of one only (llama.cpp does in streams).
        const told = decision.charge.sequences > 1 ? null : usage?.completionTokens;
        const generated = told ?? outputTokens;
        metrics.observeEndToEnd((totalMs + admitted.queuedMs) / 1000, tags);
        metrics.tokens('prompt', promptTokens, tags);
        metrics.tokens('output', generated, tags);
        metrics.prefixCacheHit(usage?.cachedTokens ?? 0, tags);
        const perSequence = Math.ceil(generated / decision.charge.sequences);
        if (usage?.promptTokens != null) {
          const { layout, charge } = lease.terms;
          const actual = { ...charge, promptTokens: usage.promptTokens };
          const sizes = {
            estimatedUnits: heldUnits(layout, charge, 'decode', perSequence),
            actualUnits: heldUnits(layout, actual, 'decode', perSequence),
          };
          metrics.leaseSettled(sizes, tags);
        }
        // Nothing generated, or nothing told of it: there is no length to learn.
        if (perSequence === 0) return;
        this.#predictor.settled(instance.name, {
          promptTokens,
          outputTokens: perSequence,
          ttftMs,
          totalMs,
          endedBy:
            perSequence < decision.charge.outputTokens
              ? 'itself'
              : shape.requestedOutputTokens === null
                ? 'set_limit'
                : 'asked_limit',
        });
      },
    };
  }
}
