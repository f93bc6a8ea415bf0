/**
 * Ends draining leases: a client that left does not free memory, the engine
 * does. Confirmed by the engine's own count of running sequences where it
 * tells one, else at the predicted completion of the request.
 */
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import type { Ledger } from './ledger.ts';
import type { Instance, StampedReading } from './pools.ts';
import type { Predictor } from './predictor.ts';

/** An open lease older than this is surely running on its engine, not still on its way there. */
const ON_ITS_WAY_MS = 1_000;
/** Until something is learned of an engine's speed, a lost request is assumed to run this long. */
const UNKNOWN_DURATION_MS = 600_000;
/** One reading may fall between the end of one step of the engine and the start of the next. */
const CONFIRMATIONS_NEEDED = 2;
/** Predictions are means; a request may be slower than the mean. */
const DURATION_MARGIN = 2;

interface Draining {
  readonly cancelDeadline: () => void;
  /** Readings in a row that showed no more than the open leases' sequences. */
  confirmations: number;
}

export class Drains {
  readonly #ledger: Ledger;
  readonly #predictor: Predictor;
  readonly #clock: Clock;
  readonly #draining = new Map<Lease, Draining>();

  constructor(ledger: Ledger, predictor: Predictor, clock: Clock) {
    this.#ledger = ledger;
    this.#predictor = predictor;
    this.#clock = clock;
    ledger.onEnded((lease) => {
      this.#draining.get(lease)?.cancelDeadline();
      this.#draining.delete(lease);
    });
  }

  /** Lets an open lease drain: ends it when the engine is seen or predicted to be done with it. */
  drain(lease: Lease): void {
    if (lease.state !== 'open') return;
    const { instance, charge, takenAtMs } = lease.terms;
    const nowMs = this.#clock.nowMs();
    lease.drain(nowMs);
    const predictedMs = this.#predictor.durationMs(
      instance,
      charge.promptTokens,
      charge.outputTokens,
    );
    const wholeMs = predictedMs === null ? UNKNOWN_DURATION_MS : predictedMs * DURATION_MARGIN;
    const leftMs = Math.max(ON_ITS_WAY_MS, takenAtMs + wholeMs - nowMs);
    const cancelDeadline = this.#clock.after(leftMs, () => lease.end());
    this.#draining.set(lease, { cancelDeadline, confirmations: 0 });
  }

  /**
   * Takes a new reading of an engine. Two in a row that were started after the
   * cancellation and count no more sequences than surely run for others confirm
   * that the engine has let go.
   */
  confirm(instance: Instance, { reading, startedAtMs }: StampedReading): void {
    if (reading.runningSequences === null) return;
    const leases = [...this.#ledger.leases(instance.name)];
    const surelyRunning = leases
      .filter(
        ({ state, terms }) => state === 'open' && terms.takenAtMs < startedAtMs - ON_ITS_WAY_MS,
      )
      .reduce((sum, { terms }) => sum + terms.charge.sequences, 0);
    const seen = reading.runningSequences + (reading.waitingSequences ?? 0);
    for (const lease of leases) {
      const draining = this.#draining.get(lease);
      if (draining === undefined || (lease.drainingSinceMs ?? startedAtMs) >= startedAtMs) continue;
      draining.confirmations = seen > surelyRunning ? 0 : draining.confirmations + 1;
      if (draining.confirmations >= CONFIRMATIONS_NEEDED) lease.end();
    }
  }

  /** The engine's process is gone, and what it held with it. */
  processGone(instance: string): void {
    for (const lease of [...this.#ledger.leases(instance)]) {
      if (lease.state === 'draining') lease.end();
    }
  }
}
