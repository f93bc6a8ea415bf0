/**
 * What was learned of output lengths as JSON, and back. A snapshot that was
 * tampered with or cut short is refused as a whole: half of it would be
 * believed as much as all of it.
 */
import {
  type Coverage,
  keptOver,
  LEAST_SHARE,
  type Outcomes,
  WINDOW_OUTCOMES,
} from '../../policy/coverage.ts';
import { type LengthSample, MAX_LENGTH_TOKENS } from '../../policy/length-curve.ts';
import { isGroupName } from '../../policy/length-key.ts';
import { type LengthGroup, type LengthGroups, MAX_GROUPS } from './length-groups.ts';
import { LengthWindow, WINDOW_SAMPLES } from './length-window.ts';

export interface GroupSnapshot {
  readonly group: string;
  /** The oldest first; negative ones were cut at that length. */
  readonly outputs: readonly LengthSample[];
  readonly coverage: Coverage;
}

/** The least lately used group first. */
export function snapshotOf(groups: LengthGroups): readonly GroupSnapshot[] {
  return [...groups.entries()].map(([group, { window, coverage }]) => ({
    group,
    outputs: window.inOrder(),
    coverage: keptOver(coverage),
  }));
}

export type Restored =
  | { readonly ok: true; readonly groups: ReadonlyMap<string, LengthGroup> }
  | { readonly ok: false; readonly why: string };

/** Never throws, whatever it is given. */
export function groupsFrom(json: unknown): Restored {
  if (!Array.isArray(json)) return refuse('lengths is no list');
  if (json.length > MAX_GROUPS) return refuse(`lengths has more than ${MAX_GROUPS} groups`);
  const groups = new Map<string, LengthGroup>();
  for (const [index, item] of (json as readonly unknown[]).entries()) {
    const { group, outputs, coverage } = membersOf(item);
    const at = `lengths[${index}]`;
    if (typeof group !== 'string' || !isGroupName(group)) return refuse(`${at}.group is none`);
    if (groups.has(group)) return refuse(`${at}.group is there twice`);
    if (!isWindow(outputs)) return refuse(`${at}.outputs are no lengths`);
    const tracked = coverageFrom(coverage);
    if (tracked === null) return refuse(`${at}.coverage is none`);
    const window = new LengthWindow();
    for (const sample of outputs) window.add(sample);
    groups.set(group, { window, coverage: tracked });
  }
  return { ok: true, groups };
}

function isWindow(value: unknown): value is readonly LengthSample[] {
  return Array.isArray(value) && value.length <= WINDOW_SAMPLES && value.every(isSample);
}

function isSample(value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isInteger(value)) return false;
  return value !== 0 && Math.abs(value) <= MAX_LENGTH_TOKENS;
}

function coverageFrom(value: unknown): Coverage | null {
  const { share, running, before } = membersOf(value);
  if (typeof share !== 'number' || !(share >= LEAST_SHARE && share <= 1)) return null;
  const now = outcomesFrom(running);
  const then = outcomesFrom(before);
  return now === null || then === null ? null : { share, running: now, before: then };
}

function outcomesFrom(value: unknown): Outcomes | null {
  const { count, missed } = membersOf(value);
  if (typeof count !== 'number' || typeof missed !== 'number') return null;
  const isSound =
    Number.isInteger(count) && count <= WINDOW_OUTCOMES && missed >= 0 && missed <= count;
  return isSound ? { count, missed } : null;
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function refuse(why: string): Restored {
  return { ok: false, why };
}
