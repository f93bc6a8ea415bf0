/**
 * Those who wait for one pool: whose turn it is, who may be served before them,
 * and how often.
 */
import { fairOrder, fairPosition, type Turn } from '../policy/fair-order.ts';
import { FairAccounts } from './fair-accounts.ts';
import type { Resumed } from './resumed.ts';

/**
 * How often others may be served before the entry whose turn it is while there
 * is no room for it. Small requests use what it leaves free meanwhile.
 */
export const MAX_PASSES = 4;
/** And for how long, as a share of the longest wait: after that what is freed is kept for it. */
export const PASSING_SHARE = 0.25;
/**
 * Entries that are tried behind it each time memory is freed: each costs a
 * whole decision, some 10 to 20 us.
 */
export const MAX_TRIES_BEHIND = 8;

export interface LaneEntry extends Turn {
  /** Taken back from its engine: it goes before everybody, and nobody passes it by. */
  readonly resumed?: Resumed | undefined;
  /** When it was its turn first and there was no room for it. */
  shortSinceMs: number | null;
  /** How often others were served before it since. */
  passes: number;
}

/** Entries that are served before somebody else's, and whether they may be passed by. */
export interface Ahead<E> {
  readonly entries: readonly E[];
  readonly passable: boolean;
}

export class QueueLane<E extends LaneEntry> {
  readonly #passingMs: number;
  /** In order of arrival. */
  readonly #entries = new Set<E>();
  readonly #accounts = new FairAccounts();
  #order: readonly E[] | null = null;
  /** Whose turn it was while there was no room for them, the longest first. */
  readonly #short = new Set<E>();
  /** Nobody passes it by any more. */
  #held: E | null = null;

  /** @param timeoutMs the longest wait */
  constructor(timeoutMs: number) {
    this.#passingMs = PASSING_SHARE * timeoutMs;
  }

  /** @param nowMs where it finds nobody before it there has just been no room for it */
  add(entry: E, nowMs: number): void {
    // Those who wait already settle their rounds among themselves: a newcomer owes nothing of before.
    if (this.#entries.size > 0) this.#inOrder();
    this.#entries.add(entry);
    this.#order = null;
    if (entry.resumed !== undefined && this.#held?.resumed === undefined) this.#held = null;
    if (this.#inOrder()[0] === entry) this.foundShort(entry, nowMs);
  }

  delete(entry: E): void {
    this.#entries.delete(entry);
    this.#short.delete(entry);
    this.#order = null;
    if (this.#held === entry) this.#held = null;
    // With the last of them all debts go.
    if (this.#entries.size === 0) this.#accounts.advance([]);
  }

  has(entry: E): boolean {
    return this.#entries.has(entry);
  }

  /** Everybody, in the order of service. */
  order(nowMs: number): readonly E[] {
    this.#holdIfDue(nowMs);
    return heldFirst(this.#held, this.#inOrder());
  }

  /** Those who would be served before somebody of this class and tenant who comes now. */
  aheadOf(newcomer: Pick<Turn, 'priority' | 'tenant'>, nowMs: number): Ahead<E> {
    if (this.#entries.size === 0) return { entries: [], passable: true };
    this.#holdIfDue(nowMs);
    const order = this.#inOrder();
    const [resumed, others] = this.#byOrigin();
    const position = resumed.length + fairPosition(others, newcomer, this.#accounts);
    const entries = heldFirst(this.#held, order.slice(0, position));
    // Further back it would not be tried either.
    return { entries, passable: this.#held === null && position <= MAX_TRIES_BEHIND };
  }

  /** Whether anybody may be served before the entry whose turn it is. */
  isPassable(nowMs: number): boolean {
    this.#holdIfDue(nowMs);
    return this.#held === null;
  }

  /** There is no room for the entry whose turn it is. */
  foundShort(entry: E, nowMs: number): void {
    entry.shortSinceMs ??= nowMs;
    this.#short.add(entry);
  }

  /** Somebody was served before the entry whose turn it is. */
  passedBy(entry: E): void {
    entry.passes += 1;
  }

  charge(turn: Turn): void {
    if (this.#entries.size === 0) return;
    this.#accounts.charge(turn);
    this.#order = null;
  }

  trueUp(turn: Turn, cost: number): void {
    if (this.#entries.size === 0) return;
    this.#accounts.trueUp(turn, cost);
    this.#order = null;
  }

  #holdIfDue(nowMs: number): void {
    if (this.#held !== null) return;
    const [first] = this.#inOrder();
    if (first?.resumed !== undefined) this.#held = first;
    else this.#held = [...this.#short].find((entry) => this.#isDue(entry, nowMs)) ?? null;
  }

  #isDue({ shortSinceMs, passes }: E, nowMs: number): boolean {
    if (shortSinceMs === null) return false;
    return passes >= MAX_PASSES || nowMs - shortSinceMs >= this.#passingMs;
  }

  #inOrder(): readonly E[] {
    if (this.#order === null) {
      this.#accounts.advance([...this.#entries]);
      const [resumed, others] = this.#byOrigin();
      this.#order = [...resumed, ...fairOrder(others, this.#accounts)];
    }
    return this.#order;
  }

  /** Those who were taken back, the oldest first, and all others. */
  #byOrigin(): readonly [readonly E[], readonly E[]] {
    const entries = [...this.#entries];
    const arrivedAtMs = ({ resumed }: E) => resumed?.arrivedAtMs ?? 0;
    const resumed = entries.filter((entry) => entry.resumed !== undefined);
    if (resumed.length === 0) return [resumed, entries];
    const others = entries.filter((entry) => entry.resumed === undefined);
    return [resumed.sort((a, b) => arrivedAtMs(a) - arrivedAtMs(b)), others];
  }
}

function heldFirst<E>(held: E | null, order: readonly E[]): readonly E[] {
  if (held === null || order[0] === held) return order;
  return [held, ...order.filter((entry) => entry !== held)];
}
