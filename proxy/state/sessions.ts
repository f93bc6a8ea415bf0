/**
 * Sessions: the KV each holds live (leases) and resident (prefix the engine
 * kept). Live ones are in a Map and are never evicted; idle ones in an LRU
 * whose bytes are counted here (with `maxSize`, lru-cache would throw on size
 * 0, drop oversized entries in silence and evict live ones).
 */
import { LRUCache } from 'lru-cache';
import { sessionKvBytes } from '../policy/session-rules.ts';
import type { SessionView } from '../policy/types.ts';

export type EvictionReason = 'idle' | 'lru' | 'pressure';

export interface SessionLimits {
  readonly maxIdleBytes: number;
  readonly idleMs: number;
  readonly maxIdleSessions: number;
}

/** What an engine is asked to let go of. */
export interface ReleasedSession {
  readonly key: string;
  /** The one that holds its prefix. */
  readonly instance: string;
  readonly kvBytes: number;
}

interface Session {
  /** The id as the client gave it, for the operator's eyes only. */
  readonly id: string;
  /** Where its prefix is resident; null: nowhere. */
  instance: string | null;
  liveBytes: number;
  liveRequests: number;
  residentBytes: number;
  requests: number;
  createdAtMs: number;
  lastUsedMs: number;
}

export interface SessionDetail {
  readonly id: string;
  readonly kvBytes: number;
  readonly liveBytes: number;
  readonly residentBytes: number;
  readonly requests: number;
  readonly ageMs: number;
  readonly idleMs: number;
}

export class Sessions {
  readonly #limits: SessionLimits;
  readonly #live = new Map<string, Session>();
  readonly #idle: LRUCache<string, Session>;
  readonly #onEvicted: (id: string, kvBytes: number, reason: EvictionReason) => void;
  readonly #release: (session: ReleasedSession) => void;
  #idleBytes = 0;

  /** @param release frees at the engine what an evicted session left there, where that can be done */
  constructor(
    limits: SessionLimits,
    onEvicted: (id: string, kvBytes: number, reason: EvictionReason) => void,
    release: (session: ReleasedSession) => void = () => {},
  ) {
    this.#limits = limits;
    this.#onEvicted = onEvicted;
    this.#release = release;
    this.#idle = new LRUCache({
      max: limits.maxIdleSessions,
      dispose: (session, key, reason) => {
        this.#idleBytes -= session.residentBytes;
        if (reason === 'evict') this.#gone(key, session, 'lru');
      },
    });
  }

  /** The session as accounted now; a session never seen holds nothing. */
  view(key: string): SessionView {
    const session = this.#live.get(key) ?? this.#idle.peek(key);
    if (session === undefined) return { liveBytes: 0, residentBytes: 0 };
    return { liveBytes: session.liveBytes, residentBytes: session.residentBytes };
  }

  /** A request of the session was admitted and holds up to `kvBytes`. */
  begin(key: string, id: string, kvBytes: number, nowMs: number): void {
    const session = this.#wake(key) ?? {
      id,
      instance: null,
      liveBytes: 0,
      liveRequests: 0,
      residentBytes: 0,
      requests: 0,
      createdAtMs: nowMs,
      lastUsedMs: nowMs,
    };
    session.liveBytes += kvBytes;
    session.liveRequests += 1;
    session.requests += 1;
    session.lastUsedMs = nowMs;
    this.#live.set(key, session);
  }

  /**
   * A request of the session is over.
   * @param kvBytes what it began with
   * @param residentBytes KV of its blocks that the engine keeps for reuse, 0 where it frees them
   * @param instance that served it
   */
  end(
    key: string,
    kvBytes: number,
    residentBytes: number,
    nowMs: number,
    instance: string | null = null,
  ): void {
    const session = this.#live.get(key);
    if (session === undefined) return;
    session.liveBytes -= kvBytes;
    session.liveRequests -= 1;
    session.residentBytes = Math.max(session.residentBytes, residentBytes);
    if (residentBytes > 0) session.instance = instance;
    session.lastUsedMs = nowMs;
    if (session.liveRequests > 0) return;
    this.#live.delete(key);
    this.#idle.set(key, session);
    this.#idleBytes += session.residentBytes;
    this.#evictWhile('lru', () => this.#idleBytes > this.#limits.maxIdleBytes);
  }

  /** Drops sessions idle for longer than allowed. */
  sweep(nowMs: number): void {
    this.#evictWhile('idle', (oldest) => nowMs - oldest.lastUsedMs >= this.#limits.idleMs);
  }

  /**
   * Drops idle sessions that are resident on an instance, least recently used
   * first, until they held so many bytes together. Live ones stay.
   * @returns the bytes that the dropped ones held
   */
  evictFor(bytes: number, instance: string, reason: EvictionReason): number {
    const leaving: (readonly [string, Session])[] = [];
    let leavingBytes = 0;
    for (const key of this.#idle.rkeys()) {
      if (leavingBytes >= bytes) break;
      const session = this.#idle.peek(key);
      if (session?.instance !== instance) continue;
      leaving.push([key, session]);
      leavingBytes += session.residentBytes;
    }
    for (const [key, session] of leaving) this.#evict(key, session, reason);
    return leavingBytes;
  }

  get active(): number {
    return this.#live.size + this.#idle.size;
  }

  /** KV bytes of all sessions, live and idle. */
  get totalBytes(): number {
    let live = 0;
    for (const session of this.#live.values()) live += sessionKvBytes(session);
    return live + this.#idleBytes;
  }

  /** The most recently used sessions, at most `limit`. */
  details(limit: number, nowMs: number): readonly SessionDetail[] {
    const details: SessionDetail[] = [];
    for (const session of [this.#live.values(), this.#idle.values()].flatMap((part) => [...part])) {
      if (details.length >= limit) break;
      details.push({
        id: session.id,
        kvBytes: sessionKvBytes(session),
        liveBytes: session.liveBytes,
        residentBytes: session.residentBytes,
        requests: session.requests,
        ageMs: nowMs - session.createdAtMs,
        idleMs: session.liveRequests > 0 ? 0 : nowMs - session.lastUsedMs,
      });
    }
    return details;
  }

  #wake(key: string): Session | undefined {
    const live = this.#live.get(key);
    if (live !== undefined) return live;
    const idle = this.#idle.peek(key);
    if (idle !== undefined) this.#idle.delete(key);
    return idle;
  }

  #evictWhile(reason: EvictionReason, mustGo: (oldest: Session) => boolean): void {
    for (;;) {
      const [key] = this.#idle.rkeys();
      const oldest = key === undefined ? undefined : this.#idle.peek(key);
      if (key === undefined || oldest === undefined || !mustGo(oldest)) return;
      this.#evict(key, oldest, reason);
    }
  }

  #evict(key: string, session: Session, reason: EvictionReason): void {
    this.#idle.delete(key);
    this.#gone(key, session, reason);
  }

  #gone(key: string, { id, instance, residentBytes }: Session, reason: EvictionReason): void {
    this.#onEvicted(id, residentBytes, reason);
    if (instance !== null) this.#release({ key, instance, kvBytes: residentBytes });
  }
}
