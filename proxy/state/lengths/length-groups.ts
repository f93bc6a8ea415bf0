/**
 * The groups of requests whose output lengths are learned, a bounded number.
 * Where there are too many, the least lately used of those that have learned
 * little goes first: names that a client makes up push out one another, not
 * what was learned.
 */

import { type Coverage, UNTRACKED } from '../../policy/coverage.ts';
import { EVERYTHING } from '../../policy/length-key.ts';
import { LengthWindow } from './length-window.ts';

export const MAX_GROUPS = 256;
/** Fewer samples forecast nothing. */
export const SAMPLES_NEEDED = 20;

export interface LengthGroup {
  readonly window: LengthWindow;
  coverage: Coverage;
}

export class LengthGroups {
  /** In order of use, the least lately used first. */
  readonly #groups = new Map<string, LengthGroup>();

  get size(): number {
    return this.#groups.size;
  }

  entries(): IterableIterator<[string, LengthGroup]> {
    return this.#groups.entries();
  }

  /** Puts a group back as it was saved; the first ones are the first to be dropped. */
  put(name: string, group: LengthGroup): void {
    this.#groups.set(name, group);
  }

  find(name: string): LengthGroup | undefined {
    return this.#groups.get(name);
  }

  /** The group of that name, made where it is not there; counts as a use. */
  touch(name: string): LengthGroup {
    const group = this.#groups.get(name) ?? { window: new LengthWindow(), coverage: UNTRACKED };
    this.#groups.delete(name);
    this.#groups.set(name, group);
    if (this.#groups.size > MAX_GROUPS) this.#dropOne(name);
    return group;
  }

  #dropOne(kept: string): void {
    const others = [...this.#groups].filter(([name]) => name !== kept && name !== EVERYTHING);
    const dropped = others.find(([, { window }]) => window.size < SAMPLES_NEEDED) ?? others[0];
    if (dropped !== undefined) this.#groups.delete(dropped[0]);
  }
}
