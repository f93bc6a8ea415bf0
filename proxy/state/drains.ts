/**
 * Ends draining leases: a client that left does not free memory, the engine
 * does. Confirmed by the engine's own count of running sequences where it
 * tells one, else at the predicted completion of the request, unless the
 * engine is then still seen to be at work on all that it was sent.
 */
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import type { Ledger } from './ledger.ts';
import type { Instance, StampedReading } from './pools.ts';
import type { Speeds } from './speeds.ts';

/** An open lease older than this is surely running on its engine, not still on its way there. */
const ON_ITS_WAY_MS = 1_000;
/** How long a lost request may run at most, and how long while nothing is learned of the engine's speed. */
const LONGEST_DRAIN_MS = 600_000;
/** One reading may fall between the end of one step of the engine and the start of the next. */
const CONFIRMATIONS_NEEDED = 2;
/** Predictions are means; a request may be slower than the mean. */
const DURATION_MARGIN = 2;

interface Draining {
  cancelDeadline: () => void;
  /** By the latest reading: as many sequences as all live leases have, this one included. */
  isSeen: boolean;
  /** Readings in a row that showed no more than the open leases' sequences. */
  confirmations: number;
}

export class Drains {
  readonly #ledger: Ledger;
  readonly #speeds: Speeds;
  readonly #clock: Clock;
  readonly #draining = new Map<Lease, Draining>();

  constructor(ledger: Ledger, speeds: Speeds, clock: Clock) {
    this.#ledger = ledger;
    this.#speeds = speeds;
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
    const predictedMs = this.#speeds.durationMs(instance, charge.promptTokens, charge.outputTokens);
    const wholeMs = predictedMs === null ? LONGEST_DRAIN_MS : predictedMs * DURATION_MARGIN;
    const draining = { cancelDeadline: () => {}, isSeen: false, confirmations: 0 };
    this.#draining.set(lease, draining);
    this.#endAfter(Math.max(ON_ITS_WAY_MS, takenAtMs + wholeMs - nowMs), lease, draining);
  }

  #endAfter(delayMs: number, lease: Lease, draining: Draining): void {
    draining.cancelDeadline = this.#clock.after(delayMs, () => {
      const sinceMs = lease.drainingSinceMs ?? 0;
      const mayGoOn = this.#clock.nowMs() - sinceMs < LONGEST_DRAIN_MS;
      if (draining.isSeen && mayGoOn) this.#endAfter(ON_ITS_WAY_MS, lease, draining);
      else lease.end();
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
    const surelyRunning = leases
      .filter(
        ({ state, terms }) => state === 'open' && terms.takenAtMs < startedAtMs - ON_ITS_WAY_MS,
      )
      .reduce((sum, { terms }) => sum + terms.charge.sequences, 0);
    const { sequences } = this.#ledger.totals(instance.name);
    const seen = reading.runningSequences + (reading.waitingSequences ?? 0);
    for (const lease of leases) {
      const draining = this.#draining.get(lease);
      if (draining === undefined || (lease.drainingSinceMs ?? startedAtMs) >= startedAtMs) continue;
      draining.isSeen = seen >= sequences;
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
