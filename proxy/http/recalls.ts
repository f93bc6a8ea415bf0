/** How requests that run are made to go when memory ends: the hands of the emergency brake. */
import type { ServerResponse } from 'node:http';
import type { BrakeEffects } from '../state/brake-effects.ts';
import type { Lease } from '../state/lease.ts';
import { Fault, type FaultCode } from './fault.ts';

interface Running {
  readonly response: ServerResponse;
  readonly attempt: AbortController;
}

const WORDS = {
  taken_back: 'memory was short before its answer began',
  memory_exhausted: 'memory ran out while it was answered',
} as const satisfies Partial<Record<FaultCode, string>>;

type Recall = keyof typeof WORDS;

export class Recalls implements BrakeEffects {
  readonly #running = new Map<Lease, Running>();
  /** Made to go after they were admitted and before they were sent. */
  readonly #unsent = new WeakMap<Lease, Recall>();

  /**
   * A request goes out to its engine now.
   * @param whole ends the request on both sides, and this attempt with it
   * @returns what ends the attempt alone; `over` is to be called when it is over
   */
  begin(
    lease: Lease,
    response: ServerResponse,
    { signal }: AbortController,
  ): { readonly attempt: AbortController; readonly over: () => void } {
    const attempt = new AbortController();
    const follow = () => attempt.abort(signal.reason);
    if (signal.aborted) follow();
    signal.addEventListener('abort', follow, { once: true });
    this.#running.set(lease, { response, attempt });
    const recalled = this.#unsent.get(lease);
    // Its engine never had it, so it holds nothing there.
    if (recalled !== undefined) {
      attempt.abort(new Fault(recalled, WORDS[recalled], { engineIsFree: true }));
    }
    const over = () => {
      signal.removeEventListener('abort', follow);
      this.#running.delete(lease);
    };
    return { attempt, over };
  }

  hasAnswered(lease: Lease): boolean {
    return this.#running.get(lease)?.response.headersSent ?? false;
  }

  takeBack(lease: Lease): void {
    this.#recall(lease, 'taken_back');
  }

  endStream(lease: Lease): void {
    this.#recall(lease, 'memory_exhausted');
  }

  #recall(lease: Lease, how: Recall): void {
    const running = this.#running.get(lease);
    if (running === undefined) this.#unsent.set(lease, how);
    else running.attempt.abort(new Fault(how, WORDS[how]));
  }
}
