/**
 * Waiting requests: a line for each pool, in fair order, bounded by the
 * caller's decision, each entry with a deadline. An entry holds no memory.
 */
import { toDisplace } from '../policy/displacement.ts';
import type { Turn } from '../policy/fair-order.ts';
import type { Waiting } from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { Clock } from './clock.ts';
import { type LaneEntry, MAX_TRIES_BEHIND, QueueLane } from './queue-lane.ts';
import type { Resumed } from './resumed.ts';

/** How a wait ended; `served` with what `attempt` gave the entry. */
export type QueueExit<R> =
  | { readonly how: 'served'; readonly result: R }
  | { readonly how: 'deadline' | 'abandoned' | 'closed' | 'displaced' };

/** What came of an entry's turn. */
export type Attempt<R> =
  /** It leaves the queue; it holds memory now, or it was told that it never will. */
  | { readonly how: 'served'; readonly result: R; readonly holds: boolean }
  /** There is not enough room for it yet. */
  | { readonly how: 'short' }
  /** It waits for something else than room, and nobody waits for it. */
  | { readonly how: 'aside' };

/** Where a request waits, and as whom. */
export interface Place extends Turn {
  readonly pool: string;
  readonly waiting: Waiting;
  /** It goes before everybody, and has waited before. */
  readonly resumed?: Resumed | undefined;
}

export interface QueueEntry<T> extends Place {
  readonly item: T;
  readonly enqueuedAtMs: number;
}

interface LiveEntry<T, R> extends QueueEntry<T>, LaneEntry {
  readonly leave: (exit: QueueExit<R>) => void;
}

/** Entries of `T`, each served with an `R`. */
export class Queue<T, R> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** In order of arrival. */
  readonly #entries = new Set<LiveEntry<T, R>>();
  readonly #lanes = new Map<string, QueueLane<LiveEntry<T, R>>>();

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get length(): number {
    return this.#entries.size;
  }

  /**
   * Puts a request in line.
   * @param signal aborts when the client leaves: the entry goes at once
   */
  wait(item: T, place: Place, signal: AbortSignal): Promise<QueueExit<R>> {
    if (signal.aborted) return Promise.resolve({ how: 'abandoned' });
    const lane = this.#laneOf(place.pool);
    const nowMs = this.#clock.nowMs();
    return new Promise((resolve) => {
      const leave = (exit: QueueExit<R>) => {
        if (!this.#entries.delete(entry)) return;
        lane.delete(entry);
        cancelDeadline();
        signal.removeEventListener('abort', abandon);
        resolve(exit);
      };
      const abandon = () => leave({ how: 'abandoned' });
      const entry = {
        ...place,
        item,
        enqueuedAtMs: place.resumed?.arrivedAtMs ?? nowMs,
        leave,
        shortSinceMs: null,
        passes: 0,
      };
      const timeoutMs = Math.max(0, this.#timeoutMs - (place.resumed?.waitedMs ?? 0));
      const cancelDeadline = this.#clock.after(timeoutMs, () => leave({ how: 'deadline' }));
      signal.addEventListener('abort', abandon, { once: true });
      this.#entries.add(entry);
      lane.add(entry, nowMs);
    });
  }

  /**
   * Those of a pool who are served before a newcomer of this class and tenant,
   * in order, as far as a forecast needs them. The first of them tells whether
   * the newcomer may take what is free all the same.
   */
  aheadOf(newcomer: Pick<Turn, 'priority' | 'tenant'>, pool: string): readonly Waiting[] {
    const ahead = this.#lanes.get(pool)?.aheadOf(newcomer, this.#clock.nowMs());
    if (ahead === undefined) return [];
    const [first, ...others] = ahead.entries.map(({ waiting }) => waiting);
    if (first === undefined) return [];
    return [ahead.passable ? { ...first, passable: true } : first, ...others];
  }

  /** A newcomer was served at once, before or between those who wait for its pool. */
  servedAtOnce(turn: Turn, pool: string): void {
    const lane = this.#lanes.get(pool);
    const [first] = lane?.aheadOf(turn, this.#clock.nowMs()).entries ?? [];
    if (first !== undefined) lane?.passedBy(first);
    lane?.charge(turn);
  }

  /** What a request that was charged in a pool's line really cost. */
  trueUp(turn: Turn, pool: string, cost: number): void {
    this.#lanes.get(pool)?.trueUp(turn, cost);
  }

  /** Whether somebody would have to leave a full queue for a newcomer of this tenant. */
  hasToDisplace(tenant: string): boolean {
    return toDisplace(this.#newcomers(), tenant) !== null;
  }

  /** Sends that one away. */
  displaceFor(tenant: string): void {
    toDisplace(this.#newcomers(), tenant)?.leave({ how: 'displaced' });
  }

  /** Whoever was taken back was admitted once, and keeps its place. */
  #newcomers(): readonly LiveEntry<T, R>[] {
    return [...this.#entries].filter(({ resumed }) => resumed === undefined);
  }

  /**
   * Offers entries to `attempt`, pool by pool and in fair order. While there is
   * no room for the one whose turn it is, a few behind it are tried, until it
   * was passed by too often or for too long.
   * @param attempt takes what the entry needs, synchronously
   */
  pump(attempt: (entry: QueueEntry<T>) => Attempt<R>): void {
    for (const lane of this.#lanes.values()) this.#pumpLane(lane, attempt);
  }

  /** Sends everyone away: the process is shutting down. */
  close(): void {
    for (const entry of [...this.#entries]) entry.leave({ how: 'closed' });
  }

  #pumpLane(lane: QueueLane<LiveEntry<T, R>>, attempt: (entry: QueueEntry<T>) => Attempt<R>): void {
    const nowMs = this.#clock.nowMs();
    let first: LiveEntry<T, R> | null = null;
    let smallest: Waiting | null = null;
    let failed = 0;
    for (const entry of lane.order(nowMs)) {
      if (failed > MAX_TRIES_BEHIND) return;
      if (!lane.has(entry) || isNoSmaller(entry.waiting, smallest)) continue;
      if (first !== null && !lane.isPassable(nowMs)) return;
      const tried = attempt(entry);
      switch (tried.how) {
        case 'short':
          failed += 1;
          smallest = entry.waiting;
          if (first === null) lane.foundShort(entry, nowMs);
          first ??= entry;
          break;
        case 'aside':
          failed += 1;
          break;
        case 'served':
          if (tried.holds) {
            if (first !== null) lane.passedBy(first);
            lane.charge(entry);
          }
          entry.leave({ how: 'served', result: tried.result });
          break;
        default:
          assertNever(tried);
      }
    }
  }

  #laneOf(pool: string): QueueLane<LiveEntry<T, R>> {
    const known = this.#lanes.get(pool);
    if (known !== undefined) return known;
    const fresh = new QueueLane<LiveEntry<T, R>>(this.#timeoutMs);
    this.#lanes.set(pool, fresh);
    return fresh;
  }
}

/** Where a smaller one found no room there is no need to decide on a larger one. */
function isNoSmaller(waiting: Waiting, smallest: Waiting | null): boolean {
  if (smallest === null) return false;
  return waiting.units >= smallest.units && waiting.sequences >= smallest.sequences;
}
