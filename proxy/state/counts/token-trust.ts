/**
 * Whether kvgate's own counts may stand in for an engine's. A model that calls
 * itself gpt-oss may be tuned to another template, or be a simulation; and a
 * count that is too small can end in an out-of-memory error. So a count is used
 * only after the engine has confirmed some, for this route, and in the way of
 * printing prompts that agreed with it every time; and never again after it
 * contradicted one.
 */
import type { TokenRange } from '../../memory/token-bounds.ts';

type Counts = readonly (TokenRange | null)[];

type Standing =
  /** `ways`: those that agreed with all that was seen; null: nothing was seen yet. */
  | {
      readonly state: 'unproven';
      readonly agreed: number;
      /** Prompts that could not be counted. */
      readonly untold: number;
      readonly ways: ReadonlySet<number> | null;
    }
  | { readonly state: 'trusted'; readonly ways: ReadonlySet<number> }
  | { readonly state: 'distrusted' };

export type Trust = Standing['state'];

/** What an engine's word did to the standing of the local counts. */
export type Verdict = 'unchanged' | 'trusted' | 'distrusted';

const CONFIRMATIONS_NEEDED = 3;
/** Of a route whose prompts can't be counted, no more is tried. */
const MAX_UNTOLD = 50;
const UNPROVEN = { state: 'unproven', agreed: 0, untold: 0, ways: null } as const;

export class TokenTrust {
  /** By instance and route: both are few. */
  readonly #standings = new Map<string, Map<string, Standing>>();

  of(instance: string, path: string): Trust {
    return this.#standing(instance, path).state;
  }

  /** The counts that may be believed; null where none may. */
  believed(instance: string, path: string, counts: Counts): readonly TokenRange[] | null {
    const standing = this.#standing(instance, path);
    if (standing.state !== 'trusted') return null;
    const chosen = [...standing.ways].map((way) => counts[way] ?? null);
    // One of them is the engine's way, and which it is can't be told.
    return chosen.every((count) => count !== null) ? chosen : null;
  }

  /** The engine's own count of a prompt that was counted here. */
  compare(instance: string, path: string, counts: Counts, promptTokens: number): Verdict {
    const standing = this.#standing(instance, path);
    if (standing.state === 'distrusted') return 'unchanged';
    const agreeing = counts.flatMap((count, way) => {
      const agrees = count !== null && count.lo <= promptTokens && promptTokens <= count.hi;
      return agrees && (standing.ways?.has(way) ?? true) ? [way] : [];
    });
    if (agreeing.length === 0) return this.contradicted(instance, path);
    const ways = new Set(agreeing);
    if (standing.state === 'trusted') {
      this.#set(instance, path, { state: 'trusted', ways });
      return 'unchanged';
    }
    const agreed = standing.agreed + 1;
    const isProven = agreed >= CONFIRMATIONS_NEEDED;
    this.#set(
      instance,
      path,
      isProven ? { state: 'trusted', ways } : { ...standing, agreed, ways },
    );
    return isProven ? 'trusted' : 'unchanged';
  }

  /** The engine counted otherwise than what was believed. */
  contradicted(instance: string, path: string): Verdict {
    if (this.of(instance, path) === 'distrusted') return 'unchanged';
    this.#set(instance, path, { state: 'distrusted' });
    return 'distrusted';
  }

  /** A prompt could not be counted here, so it tells nothing. */
  untold(instance: string, path: string): void {
    const standing = this.#standing(instance, path);
    if (standing.state !== 'unproven') return;
    const untold = standing.untold + 1;
    const isHopeless = untold >= MAX_UNTOLD;
    this.#set(instance, path, isHopeless ? { state: 'distrusted' } : { ...standing, untold });
  }

  /** Another process, another engine or another model: nothing is known of it. */
  forget(instance: string): void {
    this.#standings.delete(instance);
  }

  #standing(instance: string, path: string): Standing {
    return this.#standings.get(instance)?.get(path) ?? UNPROVEN;
  }

  #set(instance: string, path: string, standing: Standing): void {
    const routes = this.#standings.get(instance) ?? new Map<string, Standing>();
    this.#standings.set(instance, routes.set(path, standing));
  }
}
