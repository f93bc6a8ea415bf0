/** Live leases as the emergency brake sees them, and those that it has made to go. */
import { type BrakeLease, lookaheadTokens } from '../policy/brake.ts';
import type { BrakeAction, BrakeEffects } from './brake-effects.ts';
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import { growthOf } from './lease-growth.ts';
import type { Ledger } from './ledger.ts';
import type { Speeds } from './speeds.ts';

export interface WatchedLease extends BrakeLease {
  readonly lease: Lease;
}

export class BrakeLeases {
  readonly #ledger: Ledger;
  readonly #speeds: Speeds;
  readonly #clock: Clock;
  readonly #goneAtMs = new WeakMap<Lease, number>();
  #effects: BrakeEffects | null = null;

  constructor({ ledger, speeds, clock }: { ledger: Ledger; speeds: Speeds; clock: Clock }) {
    this.#ledger = ledger;
    this.#speeds = speeds;
    this.#clock = clock;
  }

  /** Until then nobody can be made to go. */
  actThrough(effects: BrakeEffects): void {
    this.#effects = effects;
  }

  /** Of one instance, in the order they were taken. */
  of(instance: string): readonly WatchedLease[] {
    return [...this.#ledger.leases(instance)].map((lease) => {
      const { heldUnits, after } = growthOf(lease, this.#speeds, this.#clock.nowMs());
      const { takenAtMs } = lease.terms;
      const laterUnits = after(lookaheadTokens(lease.terms.layout));
      return { lease, heldUnits, laterUnits, takenAtMs, state: this.#stateOf(lease) };
    });
  }

  /** From now on it is leaving, whether or not anything of it was seen to go. */
  mark(lease: Lease): void {
    this.#goneAtMs.set(lease, this.#clock.nowMs());
  }

  act(lease: Lease, action: BrakeAction): void {
    if (action === 'take_back') this.#effects?.takeBack(lease);
    else this.#effects?.endStream(lease);
  }

  /** When it was made to go, or its client left; null: neither. */
  leftAtMs(lease: Lease): number | null {
    return this.#goneAtMs.get(lease) ?? lease.drainingSinceMs;
  }

  #stateOf(lease: Lease): BrakeLease['state'] {
    const { layout, streams } = lease.terms;
    // Servers with dynamic memory generate an answer that is not streamed to its end, whoever left.
    if (this.#effects === null || (layout.model === 'dynamic' && !streams)) return 'fixed';
    if (this.leftAtMs(lease) !== null) return 'leaving';
    return this.#effects.hasAnswered(lease) ? 'answered' : 'silent';
  }
}
