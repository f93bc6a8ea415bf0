/** Exact counts of bodies seen lately: who was refused comes again, and asks for the same. */
import { createHash } from 'node:crypto';
import type { TokenBounds } from '../../memory/token-bounds.ts';

const MAX_ENTRIES = 1_000;
/** Hashing more would hold up the event loop for longer than a millisecond or two. */
const LONGEST_BODY_BYTES = 1024 ** 2;

export class CountCache {
  /** The least lately used first. */
  readonly #counts = new Map<string, TokenBounds>();
  /** Part of every key: what is still being counted when all is forgotten comes too late. */
  #clearings = 0;

  /** What a body is known by on an instance and route; null for one that is too long. */
  keyOf(instance: string, path: string, body: Uint8Array): string | null {
    if (body.length > LONGEST_BODY_BYTES) return null;
    const hash = createHash('sha256').update(`${this.#clearings}\0${instance}\0${path}\0`);
    return hash.update(body).digest('base64url');
  }

  get(key: string | null): TokenBounds | null {
    const found = key === null ? undefined : this.#counts.get(key);
    if (key === null || found === undefined) return null;
    this.#counts.delete(key);
    this.#counts.set(key, found);
    return found;
  }

  /** Keeps what is exact. */
  set(key: string | null, bounds: TokenBounds): void {
    if (key === null || bounds.lo !== bounds.hi) return;
    this.#counts.set(key, bounds);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MAX_ENTRIES && oldest !== undefined) this.#counts.delete(oldest);
  }

  clear(): void {
    this.#counts.clear();
    this.#clearings += 1;
  }
}
