/**
 * The ledger: every live lease, the one truth about what kvgate has promised.
 * A lease is open, perhaps draining (its client left, the engine may still
 * work), and ends exactly once; a second end is counted and harmless.
 */
import { heldUnits } from '../memory/charge.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import type { Charge } from '../policy/types.ts';

export interface LeaseTerms {
  readonly requestId: string;
  readonly instance: string;
  readonly layout: KvLayout;
  readonly charge: Charge;
  readonly sessionKey: string | null;
  /** Whether its tokens are seen as they come. */
  readonly streams: boolean;
  readonly takenAtMs: number;
}

export type LeaseState = 'open' | 'draining' | 'ended';

export interface InstanceTotals {
  /** Sum of the highest each live lease can still reach. */
  readonly committedUnits: number;
  /** Sum of what live leases are modelled to hold now. */
  readonly heldUnits: number;
  /** The most that `heldUnits` ever was. */
  readonly heldHighWaterUnits: number;
  readonly sequences: number;
}

interface MutableTotals {
  committedUnits: number;
  heldUnits: number;
  heldHighWaterUnits: number;
  sequences: number;
  readonly leases: Set<Lease>;
}

export class Lease {
  readonly terms: LeaseTerms;
  readonly #ledger: LeaseBook;
  #state: LeaseState = 'open';
  #firstTokenSeen = false;
  #generatedTokens = 0;
  #committedUnits: number;
  #heldUnits: number;
  #drainingSinceMs: number | null = null;

  constructor(terms: LeaseTerms, ledger: LeaseBook) {
    this.terms = terms;
    this.#ledger = ledger;
    this.#committedUnits = terms.charge.peakUnits;
    this.#heldUnits = heldUnits(terms.layout, terms.charge, 'prefill', 0);
  }

  get state(): LeaseState {
    return this.#state;
  }
  get firstTokenSeen(): boolean {
    return this.#firstTokenSeen;
  }
  get generatedTokens(): number {
    return this.#generatedTokens;
  }
  get committedUnits(): number {
    return this.#committedUnits;
  }
  get heldUnits(): number {
    return this.#heldUnits;
  }
  /**
   * The most it may hold now: what was seen to be generated, or, where nothing
   * can be seen, all that it may ever reach.
   */
  get mostHeldUnits(): number {
    const watched = this.terms.streams && this.#state === 'open';
    return watched ? this.#heldUnits : Math.max(this.#heldUnits, this.#committedUnits);
  }
  /** When the client left; null while the lease is open. */
  get drainingSinceMs(): number | null {
    return this.#drainingSinceMs;
  }

  /**
   * The engine has produced `tokens` of output for the longest sequence. The
   * first call gives back the prefill transient; later ones grow the KV held.
   */
  generated(tokens: number): void {
    if (this.#state === 'ended') return;
    this.#generatedTokens = Math.max(this.#generatedTokens, tokens);
    const { layout, charge } = this.terms;
    const held = heldUnits(layout, charge, 'decode', this.#generatedTokens);
    const committed = Math.max(charge.finalUnits, held);
    const freed = this.#committedUnits > committed;
    this.#ledger.moved(this, committed - this.#committedUnits, held - this.#heldUnits);
    this.#firstTokenSeen = true;
    this.#committedUnits = committed;
    this.#heldUnits = held;
    if (freed) this.#ledger.freed(this.terms.instance);
  }

  /** The client is gone; the engine may still hold the memory, so the lease still counts. */
  drain(nowMs: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#drainingSinceMs = nowMs;
  }

  /** The engine has let go. @returns false when the lease had ended before. */
  end(): boolean {
    if (this.#state === 'ended') {
      this.#ledger.endedTwice();
      return false;
    }
    this.#state = 'ended';
    this.#ledger.remove(this);
    return true;
  }
}

/** What a lease may ask of the ledger it belongs to. */
interface LeaseBook {
  moved(lease: Lease, committedDelta: number, heldDelta: number): void;
  freed(instance: string): void;
  remove(lease: Lease): void;
  endedTwice(): void;
}

export class Ledger {
  readonly #totals = new Map<string, MutableTotals>();
  readonly #freedListeners: ((instance: string) => void)[] = [];
  readonly #endedListeners: ((lease: Lease) => void)[] = [];
  readonly #endedTwiceListeners: (() => void)[] = [];
  readonly #book: LeaseBook = {
    moved: (lease, committed, held) => this.#move(lease, committed, held, 0),
    freed: (instance) => this.#announce(instance),
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
    for (const listener of this.#endedListeners) listener(lease);
    this.#announce(instance);
  }

  #announce(instance: string): void {
    for (const listener of this.#freedListeners) listener(instance);
  }
}
