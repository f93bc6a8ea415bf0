/**
 * Whether kvgate's own counts may stand in for an engine's. A model that calls
 * itself gpt-oss may be tuned to another template, or be a simulation; and a
 * count that is too small can end in an out-of-memory error. So a count is used
 * only after the engine has confirmed some of the same sort, in the way of
 * printing prompts that agreed with it every time; and never again after it
 * contradicted one.
 */
import type { TokenRange } from '../../memory/token-bounds.ts';
import type { LocalCounts } from './local-counter.ts';

/** Where prompts go. One instance may serve several models, each with a template of its own. */
export interface Destination {
  readonly instance: string;
  readonly path: string;
  /** As the body names it. */
  readonly model: string | null;
}

type Standing =
  /** `ways`: those that agreed with all that was seen; null: nothing was seen yet. */
  | {
      readonly state: 'unproven';
      /** Each body once: the same again tells nothing new. */
      readonly agreed: ReadonlySet<string>;
      readonly ways: ReadonlySet<number> | null;
    }
  | { readonly state: 'trusted'; readonly ways: ReadonlySet<number> }
  | { readonly state: 'distrusted' };

/** What an engine's word did to the standing of the local counts. */
export type Verdict = 'unchanged' | 'trusted' | 'distrusted';

interface Known {
  /** By what is in the prompts (LocalCounts.traits): engines differ in how they print each. */
  readonly byTraits: Map<string, Standing>;
  /** Prompts that could not be counted. */
  untold: number;
  /** Prompts passed over since the last that was compared. */
  passed: number;
}

const CONFIRMATIONS_NEEDED = 3;
/** Where prompts can't be counted, each is tried only so often. */
const MAX_UNTOLD = 50;
/** Once something was decided, one prompt of so many is compared: other sorts come, and models change. */
const COMPARED_OF = 16;
/** Of one instance, those last learned of; the names come from clients. */
const MAX_DESTINATIONS = 64;
const MAX_MODEL_CHARS = 256;
const UNPROVEN: Standing = { state: 'unproven', agreed: new Set(), ways: null };

export class TokenTrust {
  readonly #instances = new Map<string, Map<string, Known>>();

  /** Whether some of the counts for it may be believed. */
  isGiven(to: Destination): boolean {
    const known = this.#known(to);
    return known !== null && [...known.byTraits.values()].some(({ state }) => state === 'trusted');
  }

  /** Whether one more prompt should be compared; asked once for each. */
  isWanted(to: Destination): boolean {
    if ((to.model?.length ?? 0) > MAX_MODEL_CHARS) return false;
    const known = this.#known(to);
    if (known === null) return true;
    const isDecided = [...known.byTraits.values()].some(({ state }) => state !== 'unproven');
    if (!isDecided && known.untold < MAX_UNTOLD) return true;
    known.passed = (known.passed + 1) % COMPARED_OF;
    return known.passed === 0;
  }

  /** The counts that may be believed; null where none may. */
  believed(to: Destination, { traits, counts }: LocalCounts): readonly TokenRange[] | null {
    const standing = this.#known(to)?.byTraits.get(traits);
    if (standing?.state !== 'trusted') return null;
    const chosen = [...standing.ways].map((way) => counts[way] ?? null);
    // One of them is the engine's way, and which it is can't be told.
    return chosen.every((count) => count !== null) ? chosen : null;
  }

  /**
   * The engine's own count of a prompt that was counted here.
   * @param body tells bodies apart
   */
  compare(
    to: Destination,
    { traits, counts }: LocalCounts,
    promptTokens: number,
    body: string,
  ): Verdict {
    const standing = this.#known(to)?.byTraits.get(traits) ?? UNPROVEN;
    if (standing.state === 'distrusted') return 'unchanged';
    const agreeing = counts.flatMap((count, way) => {
      const agrees = count !== null && count.lo <= promptTokens && promptTokens <= count.hi;
      return agrees && (standing.ways?.has(way) ?? true) ? [way] : [];
    });
    if (agreeing.length === 0) {
      if (standing.state === 'trusted') return this.contradicted(to);
      this.#learn(to).byTraits.set(traits, { state: 'distrusted' });
      return 'distrusted';
    }
    const ways = new Set(agreeing);
    const agreed = standing.state === 'trusted' ? null : new Set([...standing.agreed, body]);
    const isProven = agreed === null || agreed.size >= CONFIRMATIONS_NEEDED;
    const now: Standing = isProven
      ? { state: 'trusted', ways }
      : { state: 'unproven', agreed, ways };
    this.#learn(to).byTraits.set(traits, now);
    return now.state === 'trusted' && standing.state !== 'trusted' ? 'trusted' : 'unchanged';
  }

  /** The engine counted otherwise than what was believed: nothing believed of it holds any more. */
  contradicted(to: Destination): Verdict {
    const known = this.#known(to);
    if (known === null || !this.isGiven(to)) return 'unchanged';
    for (const [traits, { state }] of known.byTraits) {
      if (state === 'trusted') known.byTraits.set(traits, { state: 'distrusted' });
    }
    return 'distrusted';
  }

  /** A prompt could not be counted here, so it tells nothing. */
  untold(to: Destination): void {
    this.#learn(to).untold += 1;
  }

  /** Another process, another engine or another model: nothing is known of it. */
  forget(instance: string): void {
    this.#instances.delete(instance);
  }

  #known(to: Destination): Known | null {
    return this.#instances.get(to.instance)?.get(keyOf(to)) ?? null;
  }

  /** As `#known`, the last learned of being kept longest. */
  #learn(to: Destination): Known {
    const all = this.#instances.get(to.instance) ?? new Map<string, Known>();
    const key = keyOf(to);
    const known = all.get(key) ?? { byTraits: new Map(), untold: 0, passed: 0 };
    all.delete(key);
    all.set(key, known);
    const [oldest] = all.keys();
    if (all.size > MAX_DESTINATIONS && oldest !== undefined) all.delete(oldest);
    this.#instances.set(to.instance, all);
    return known;
  }
}

function keyOf({ path, model }: Destination): string {
  return `${path}\0${model ?? ''}`;
}
