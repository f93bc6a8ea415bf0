/** The ledger: every live lease and the sums over them, the one truth about what kvgate has promised. */
import { Lease, type LeaseBook, type LeaseTerms } from './lease.ts';

export interface InstanceTotals {
  /** Sum of the highest each live lease can still reach. */
  readonly committedUnits: number;
  /** Sum of what live leases are modelled to hold now. */
  readonly heldUnits: number;
  /** The most that `heldUnits` ever was. */
  readonly heldHighWaterUnits: number;
  readonly sequences: number;
}

/** What turns the course of a lease. */
export type LeaseTurn = 'taken' | 'first_token' | 'drained' | 'ended';

interface MutableTotals {
  committedUnits: number;
  heldUnits: number;
  heldHighWaterUnits: number;
  sequences: number;
  readonly leases: Set<Lease>;
}

export class Ledger {
  readonly #totals = new Map<string, MutableTotals>();
  readonly #freedListeners: ((instance: string) => void)[] = [];
  readonly #turnListeners: ((lease: Lease, turn: LeaseTurn) => void)[] = [];
  readonly #grownListeners: ((lease: Lease, heldDelta: number) => void)[] = [];
  readonly #endedListeners: ((lease: Lease) => void)[] = [];
  readonly #endedTwiceListeners: (() => void)[] = [];
  readonly #book: LeaseBook = {
    moved: (lease, committed, held) => this.#move(lease, committed, held, 0),
    freed: (instance) => this.#announce(instance),
    turned: (lease, turn) => this.#turned(lease, turn),
    grown: (lease, heldDelta) => {
      for (const listener of this.#grownListeners) listener(lease, heldDelta);
    },
    remove: (lease) => this.#remove(lease),
    endedTwice: () => {
      for (const listener of this.#endedTwiceListeners) listener();
    },
  };

  /** Opens a lease. Call it in the same synchronous step as the decision it follows from. */
  take(terms: LeaseTerms): Lease {
    const lease = new Lease(terms, this.#book);
    this.#of(terms.instance).leases.add(lease);
    this.#move(lease, lease.committedUnits, lease.heldUnits, terms.charge.sequences);
    this.#turned(lease, 'taken');
    return lease;
  }

  totals(instance: string): InstanceTotals {
    return this.#of(instance);
  }

  /** The most that live leases may hold now; what an engine holds beyond it is not ours. */
  mostHeldUnits(instance: string): number {
    let units = 0;
    for (const lease of this.#of(instance).leases) units += lease.mostHeldUnits;
    return units;
  }

  leases(instance: string): ReadonlySet<Lease> {
    return this.#of(instance).leases;
  }

  /** The process is gone, and with it whatever its allocator had kept. */
  forgetHighWater(instance: string): void {
    const totals = this.#of(instance);
    totals.heldHighWaterUnits = totals.heldUnits;
  }

  get size(): number {
    let size = 0;
    for (const totals of this.#totals.values()) size += totals.leases.size;
    return size;
  }

  /** Calls back whenever an instance has more room than before. */
  onFreed(listener: (instance: string) => void): void {
    this.#freedListeners.push(listener);
  }

  /** Calls back at each turn of a lease. */
  onTurn(listener: (lease: Lease, turn: LeaseTurn) => void): void {
    this.#turnListeners.push(listener);
  }

  /** Calls back when more was generated, with the units by which what the lease holds has changed. */
  onGrown(listener: (lease: Lease, heldDelta: number) => void): void {
    this.#grownListeners.push(listener);
  }

  /** Calls back once for each lease, when the engine has let go of it. */
  onEnded(listener: (lease: Lease) => void): void {
    this.#endedListeners.push(listener);
  }

  /** Calls back for each second end of a lease: a fault of ours, harmless but counted. */
  onEndedTwice(listener: () => void): void {
    this.#endedTwiceListeners.push(listener);
  }

  #of(instance: string): MutableTotals {
    const known = this.#totals.get(instance);
    if (known !== undefined) return known;
    const fresh: MutableTotals = {
      committedUnits: 0,
      heldUnits: 0,
      heldHighWaterUnits: 0,
      sequences: 0,
      leases: new Set(),
    };
    this.#totals.set(instance, fresh);
    return fresh;
  }

  #move(lease: Lease, committed: number, held: number, sequences: number): void {
    const totals = this.#of(lease.terms.instance);
    totals.committedUnits += committed;
    totals.heldUnits += held;
    totals.sequences += sequences;
    totals.heldHighWaterUnits = Math.max(totals.heldHighWaterUnits, totals.heldUnits);
  }

  #remove(lease: Lease): void {
    const { instance, charge } = lease.terms;
    this.#of(instance).leases.delete(lease);
    this.#move(lease, -lease.committedUnits, -lease.heldUnits, -charge.sequences);
    this.#turned(lease, 'ended');
    for (const listener of this.#endedListeners) listener(lease);
    this.#announce(instance);
  }

  #turned(lease: Lease, turn: LeaseTurn): void {
    for (const listener of this.#turnListeners) listener(lease, turn);
  }

  #announce(instance: string): void {
    for (const listener of this.#freedListeners) listener(instance);
  }
}
