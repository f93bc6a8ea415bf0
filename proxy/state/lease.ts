/**
 * A lease: the reservation of one request on one instance. It is open, perhaps
 * draining (its client left, the engine may still work), and ends exactly
 * once; a second end is counted and harmless.
 */
import { heldUnits } from '../memory/charge.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import type { LengthKey } from '../policy/length-key.ts';
import type { Charge } from '../policy/types.ts';

export interface LeaseTerms {
  readonly requestId: string;
  readonly instance: string;
  readonly layout: KvLayout;
  readonly charge: Charge;
  readonly sessionKey: string | null;
  /** What its output's length is forecast by; left out where it is not. */
  readonly lengthKey?: LengthKey;
  /** Whether its tokens are seen as they come. */
  readonly streams: boolean;
  readonly takenAtMs: number;
}

export type LeaseState = 'open' | 'draining' | 'ended';

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
  /** What it holds apart from prefill, which is over in a moment: as in a decode step. */
  get steadyUnits(): number {
    if (this.#generatedTokens >= 2) return this.#heldUnits;
    return heldUnits(this.terms.layout, this.terms.charge, 'decode', 2);
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
    const heldDelta = held - this.#heldUnits;
    this.#ledger.moved(this, committed - this.#committedUnits, heldDelta);
    const isFirst = !this.#firstTokenSeen;
    this.#firstTokenSeen = true;
    this.#committedUnits = committed;
    this.#heldUnits = held;
    if (isFirst) this.#ledger.turned(this, 'first_token');
    this.#ledger.grown(this, heldDelta);
    if (freed) this.#ledger.freed(this.terms.instance);
  }

  /** The client is gone; the engine may still hold the memory, so the lease still counts. */
  drain(nowMs: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#drainingSinceMs = nowMs;
    this.#ledger.turned(this, 'drained');
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
export interface LeaseBook {
  turned(lease: Lease, turn: 'first_token' | 'drained'): void;
  moved(lease: Lease, committedDelta: number, heldDelta: number): void;
  grown(lease: Lease, heldDelta: number): void;
  freed(instance: string): void;
  remove(lease: Lease): void;
  endedTwice(): void;
}
