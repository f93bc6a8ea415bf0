/** The hands of the emergency brake in a simulation, as http/recalls.ts is in production. */
import type { BrakeEffects } from '../state/brake-effects.ts';
import type { Lease } from '../state/lease.ts';

export type Recall = 'taken_back' | 'cut';

export class Recalls implements BrakeEffects {
  readonly #recall: (lease: Lease, how: Recall) => void;
  /** Made to go in the very step in which they were admitted, so not started yet. */
  readonly #unsent = new WeakMap<Lease, Recall>();
  readonly #started = new WeakSet<Lease>();

  /** @param recall makes a request go that was started */
  constructor(recall: (lease: Lease, how: Recall) => void) {
    this.#recall = recall;
  }

  /** The request goes to its engine. @returns what was done with it before */
  started(lease: Lease): Recall | null {
    this.#started.add(lease);
    return this.#unsent.get(lease) ?? null;
  }

  /** The head of an answer is taken to go out with its first token. */
  hasAnswered(lease: Lease): boolean {
    return lease.firstTokenSeen;
  }

  takeBack(lease: Lease): void {
    this.#go(lease, 'taken_back');
  }

  endStream(lease: Lease): void {
    this.#go(lease, 'cut');
  }

  #go(lease: Lease, how: Recall): void {
    if (this.#started.has(lease)) this.#recall(lease, how);
    else this.#unsent.set(lease, how);
  }
}
