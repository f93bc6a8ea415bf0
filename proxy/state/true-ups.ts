/**
 * What requests were charged in their line, until they end and it is known what
 * they really held: a tenant gains nothing by looking small.
 */
import type { Turn } from '../policy/fair-order.ts';
import { heldCost } from '../policy/held-cost.ts';
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import type { Queue } from './queue.ts';

/** Requests remembered; beyond it the oldest keeps the cost that was predicted. */
const MAX_REQUESTS = 16_384;

interface Charged {
  readonly turn: Turn;
  readonly pool: string;
}

export class TrueUps {
  readonly #clock: Clock;
  readonly #queue: Pick<Queue<unknown, unknown>, 'trueUp'>;
  readonly #charged = new Map<string, Charged>();

  constructor(clock: Clock, queue: Pick<Queue<unknown, unknown>, 'trueUp'>) {
    this.#clock = clock;
    this.#queue = queue;
  }

  /** @param pool in whose line it was charged */
  remember(requestId: string, { priority, tenant, cost }: Turn, pool: string): void {
    this.#charged.set(requestId, { turn: { priority, tenant, cost }, pool });
    if (this.#charged.size <= MAX_REQUESTS) return;
    const [oldest] = this.#charged.keys();
    if (oldest !== undefined) this.#charged.delete(oldest);
  }

  ended({ terms, generatedTokens, firstTokenSeen }: Lease): void {
    const charged = this.#charged.get(terms.requestId);
    if (charged === undefined) return;
    this.#charged.delete(terms.requestId);
    const heldMs = this.#clock.nowMs() - terms.takenAtMs;
    // Of an answer that never came as a whole nothing was seen: it may have been all of it.
    const isSeen = terms.streams || firstTokenSeen;
    const outputTokens = isSeen ? generatedTokens : terms.charge.outputTokens;
    const cost = heldCost(terms.charge, outputTokens, heldMs);
    this.#queue.trueUp(charged.turn, charged.pool, cost);
  }
}
