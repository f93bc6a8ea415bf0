/**
 * What was learned of each engine by holding its figures against the model of
 * its memory: the layout in force, a small correction of what is left, and an
 * alarm where neither explains what it shows. Owner of all three; the layout
 * is published in the instance's facts. A lease keeps the layout it was taken
 * with.
 *
 * Instances with a `dynamic` layout are not calibrated here: what their
 * allocator keeps is learned in gpu-use.ts, and nothing else of theirs shows.
 */
import type { EngineFacts } from '../../backend-adapters/adapter.ts';
import { AS_ASSUMED, type Hypothesis, hypothesesOf } from '../memory/calibration/hypotheses.ts';
import { type Evidence, evidenceOf, identify } from '../memory/calibration/identify.ts';
import { isOutOfBounds, median, residualOf } from '../memory/calibration/residual.ts';
import { HeldSamples } from './held-samples.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './log.ts';
import type { Instance, Pools } from './pools.ts';
import type { SettledRequest } from './settled.ts';

/** The latest samples that are judged by, of each instance. */
const SAMPLES_KEPT = 64;

/** As an operator sees it. */
export interface CalibrationView {
  /** The way to lay out KV that is in force. */
  readonly layout: string;
  /** Clean samples that it is judged by. */
  readonly samples: number;
  /** Measured over modelled units, as applied. */
  readonly slope: number;
  /** Why somebody should look; null: what the engine shows is explained. */
  readonly alarm: string | null;
}

interface Calibrated {
  /** As the probe made them. */
  readonly probed: EngineFacts;
  /** As they are in the pools now. */
  published: EngineFacts;
  /** Those that the engine's own figures leave; the assumed one alone where they leave none. */
  readonly hypotheses: readonly Hypothesis[];
  /** Whether what it tells of itself contradicts every way that is known. */
  readonly isInexplicable: boolean;
  current: Hypothesis;
  readonly samples: HeldSamples;
  evidence: readonly Evidence[];
  slope: number;
  alarm: string | null;
}

export class Calibration {
  readonly #pools: Pools;
  readonly #ledger: Ledger;
  readonly #log: Log;
  readonly #instances = new Map<string, Calibrated>();

  constructor(pools: Pools, ledger: Ledger, log: Log) {
    this.#pools = pools;
    this.#ledger = ledger;
    this.#log = log;
  }

  /** What is known of an instance; null while its engine is not. */
  of(instance: string): CalibrationView | null {
    const known = this.#instances.get(instance);
    if (known === undefined) return null;
    const { current, evidence, slope, alarm } = known;
    return { layout: current.name, samples: evidence.length, slope, alarm };
  }

  /**
   * What a capacity is to be divided by: 1 or more. An engine that holds less
   * than modelled gets no more work for it: the smaller use may be a prefix that
   * requests of the day have in common, and those of tomorrow not.
   */
  divisorOf(instance: string): number {
    return Math.max(1, this.#instances.get(instance)?.slope ?? 1);
  }

  /** An instance has changed: facts of a new process begin anew, a reading may be a sample. */
  changed(before: Instance, after: Instance): void {
    const { name, facts, latest, health } = after;
    if (facts === null) return;
    const known = this.#instances.get(name);
    if (known === undefined || (facts !== known.published && facts !== before.facts)) {
      this.#begin(name, facts);
    }
    if (facts.layout.model === 'dynamic' || health.state !== 'healthy') return;
    if (latest === null || latest === before.latest) return;
    this.#instances.get(name)?.samples.take(latest, this.#ledger.leases(name));
  }

  /** A request ran to its end: samples that waited for it may be complete. */
  settled(request: SettledRequest): void {
    const known = this.#instances.get(request.instance);
    if (known === undefined) return;
    const complete = known.samples.settled(request);
    if (complete.length === 0) return;
    const fresh = complete.map((observation) => evidenceOf(known.hypotheses, observation));
    known.evidence = [...known.evidence, ...fresh].slice(-SAMPLES_KEPT);
    this.#review(request.instance, known);
  }

  #begin(name: string, facts: EngineFacts): void {
    const told = facts.toldFigures ?? [];
    const all = hypothesesOf(facts.layout, told);
    const [assumed] = all;
    const evidence = told.map((figure) => evidenceOf(all, figure));
    const { chosen, survivors, isUnexplained } = identify(all, evidence, assumed);
    const fresh: Calibrated = {
      probed: facts,
      published: facts,
      hypotheses: isUnexplained ? [assumed] : survivors,
      isInexplicable: isUnexplained,
      current: assumed,
      samples: new HeldSamples(),
      evidence: [],
      slope: 1,
      alarm: null,
    };
    this.#instances.set(name, fresh);
    this.#apply(name, fresh, chosen, isUnexplained);
  }

  #review(name: string, known: Calibrated): void {
    const { hypotheses, evidence, current, isInexplicable } = known;
    const { chosen, isUnexplained } = identify(hypotheses, evidence, current);
    this.#apply(name, known, chosen, isInexplicable || isUnexplained);
  }

  #apply(name: string, known: Calibrated, chosen: Hypothesis, isUnexplained: boolean): void {
    const { current, alarm, evidence } = known;
    const heldRatios = evidence.flatMap(({ ratios }) => ratios.get(chosen) ?? []);
    const residual = residualOf(heldRatios);
    const isOut = isOutOfBounds(residual, alarm !== null);
    known.current = chosen;
    // Once alarmed the caution stays until there is enough to judge by again.
    if (residual.rawSlope !== null || alarm === null) known.slope = residual.slope;
    if (isUnexplained || isOut) known.alarm ??= alarmWords(median(heldRatios));
    else known.alarm = null;
    this.#tell(name, known, current, alarm);
    // Whatever was seen until now did not help to identify it.
    if (alarm === null && known.alarm !== null) known.evidence = [];
    if (chosen !== current || known.alarm !== alarm) this.#publish(name, known);
  }

  #tell(
    name: string,
    { current, alarm, evidence }: Calibrated,
    was: Hypothesis,
    before: string | null,
  ): void {
    if (current !== was) {
      const detail = layoutWords(current);
      // What an engine tells of itself at its start is no surprise; what its requests show is.
      const level = evidence.length === 0 ? 'info' : 'warn';
      this.#log[level]('Memory layout identified', { instance: name, detail });
    }
    if (alarm !== null && before === null) {
      this.#log.warn('Calibration alarm', { instance: name, detail: alarm });
    }
    if (alarm === null && before !== null) {
      this.#log.info('Calibration alarm is over', { instance: name });
    }
  }

  #publish(name: string, known: Calibrated): void {
    const { probed, current, alarm } = known;
    known.published = {
      ...probed,
      layout: current.layout,
      warnings: [
        ...probed.warnings,
        ...(current.name === AS_ASSUMED ? [] : [layoutWords(current)]),
        ...(alarm === null ? [] : [alarm]),
      ],
    };
    this.#pools.update(name, { facts: known.published });
  }
}

function layoutWords({ name }: Hypothesis): string {
  return name === AS_ASSUMED
    ? "the engine's figures fit what was assumed of its memory at first: that is used again"
    : `the engine's figures contradict what was assumed of its memory and fit another way to lay out KV: ${name}; that is used`;
}

/** @param heldRatio measured over modelled units of the samples; null where no sample is the reason */
function alarmWords(heldRatio: number | null): string {
  const what =
    heldRatio === null
      ? "the engine's own figures fit no known way to lay out KV, so what requests take there may be estimated wrongly"
      : `requests hold ${heldRatio.toFixed(2)} times the memory that is modelled; no known way to lay out KV explains it, and so much is not corrected for`;
  return `${what}: see that --model-config and --kv-dtype describe what it serves`;
}
