/**
 * Ends draining leases: a client that left does not free memory, the engine
 * does. Confirmed by the engine's own count of running sequences where it
 * tells one, else at the predicted completion of the request.
 */
import type { Clock } from './clock.ts';
import type { Lease, Ledger } from './ledger.ts';
import type { Instance, StampedReading } from './pools.ts';
import type { Predictor } from './predictor.ts';

/** An open lease older than this is surely running on its engine, not still on its way there. */
const ON_ITS_WAY_MS = 1_000;
/** Until something is learned of an engine's speed, a lost request is assumed to run this long. */
const UNKNOWN_DURATION_MS = 600_000;
/** Predictions are means; a request may be slower than the mean. */
const DURATION_MARGIN = 2;

export class Drains {
  readonly #ledger: Ledger;
  readonly #predictor: Predictor;
  readonly #clock: Clock;
  /** Readings in a row, by instance, that showed no more than the open leases' sequences. */
  readonly #confirmations = new Map<string, number>();

  constructor(ledger: Ledger, predictor: Predictor, clock: Clock) {
    this.#ledger = ledger;
    this.#predictor = predictor;
    this.#clock = clock;
  }

  /** Lets a lease drain: ends it when the engine is seen or predicted to be done with it. */
  drain(lease: Lease): void {
    const { instance, charge, takenAtMs } = lease.terms;
    const nowMs = this.#clock.nowMs();
    lease.drain(nowMs);
    this.#confirmations.delete(instance);
    const predictedMs = this.#predictor.durationMs(
      instance,
      charge.promptTokens,
      charge.outputTokens,
    );
    const wholeMs = predictedMs === null ? UNKNOWN_DURATION_MS : predictedMs * DURATION_MARGIN;
    const leftMs = Math.max(ON_ITS_WAY_MS, takenAtMs + wholeMs - nowMs);
    this.#clock.after(leftMs, () => {
      if (lease.state === 'draining') lease.end();
    });
  }

  /**
   * Takes a new reading of an engine. Two in a row that were started after the
   * cancellation and count no more sequences than surely run for others confirm
   * that the engine has let go.
   */
  confirm(instance: Instance, { reading, startedAtMs }: StampedReading): void {
    if (reading.runningSequences === null) return;
    const leases = [...this.#ledger.leases(instance.name)];
    const gone = leases.filter(
      ({ drainingSinceMs }) => drainingSinceMs !== null && drainingSinceMs < startedAtMs,
    );
    if (gone.length === 0) return;

    const surelyRunning = leases
      .filter(
        ({ state, terms }) => state === 'open' && terms.takenAtMs < startedAtMs - ON_ITS_WAY_MS,
      )
      .reduce((sum, { terms }) => sum + terms.charge.sequences, 0);
    const seen = reading.runningSequences + (reading.waitingSequences ?? 0);
    if (seen > surelyRunning) {
      this.#confirmations.delete(instance.name);
      return;
    }
    const confirmations = (this.#confirmations.get(instance.name) ?? 0) + 1;
    this.#confirmations.set(instance.name, confirmations);
    if (confirmations < 2) return;
    for (const lease of gone) lease.end();
  }

  /** The engine's process is gone, and what it held with it. */
  engineGone(instance: string): void {
    for (const lease of [...this.#ledger.leases(instance)]) {
      if (lease.state === 'draining') lease.end();
    }
  }
}
