/** The settings a decision log was written under, and those of `kvgate replay --set` in their place. */
import { DECIDING_NAMES, SETTABLE_NAMES } from './deciding-options.ts';
import type { Option } from './option.ts';
import { isOptionName, OPTIONS, type OptionName, type OptionValues } from './options.ts';
import type { Problem } from './problem.ts';
import { ASCENDING, checkRules } from './rules.ts';
import { checkValue } from './schema.ts';
import { fromText } from './sources.ts';
import { didYouMean } from './suggest.ts';

const SOURCE = '--set';
/** Far below any difference between thresholds that means something. */
const LEAST_GAP = 1e-9;

export interface ReplaySettings {
  readonly logged: OptionValues;
  readonly changed: OptionValues;
  /** By name, as they were set, and thresholds that gave way to them. */
  readonly set: Readonly<Record<string, unknown>>;
  readonly problems: readonly Problem[];
}

/**
 * @param told by the log, by flag name
 * @param sets `NAME=VALUE`, as a list option has them: parted at commas
 */
export function replaySettings(
  told: Readonly<Record<string, unknown>>,
  sets: readonly string[],
): ReplaySettings {
  const problems: Problem[] = [];
  const defaults = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, option]) => [name, option.default]),
  );
  const checked = DECIDING_NAMES.filter((name) => told[name] !== undefined && told[name] !== null);
  const logged = checked.map((name) => checkInto(problems, name, told[name], 'the log'));
  const set = Object.fromEntries(
    joined(sets).flatMap((item) => settingFrom(item, problems).map(([n, v]) => [n, v] as const)),
  );
  // Every value is its option's default, or was checked by its entry of the table.
  const loggedValues = { ...defaults, ...Object.fromEntries(logged) } as OptionValues;
  const asSet = { ...loggedValues, ...set } as OptionValues;
  const names = new Set(Object.keys(set));
  const whole = { ...set, ...givenWay(asSet, names, 0) };
  const changed = { ...asSet, ...whole } as OptionValues;
  if (problems.length === 0) {
    checkTogether({ ...changed, ...givenWay(asSet, names, LEAST_GAP) }, names, problems);
  }
  return { logged: loggedValues, changed, set: whole, problems };
}

/**
 * A threshold that is set beyond its neighbours takes them along, unless they are
 * set as well: the levels between come to be empty, and one value can be tried alone.
 * @param gap that is left between two thresholds
 * @returns those that had to move
 */
function givenWay(
  values: OptionValues,
  set: ReadonlySet<string>,
  gap: number,
): Readonly<Record<string, number>> {
  const moved: Record<string, number> = {};
  const along = (names: readonly OptionName[], sign: 1 | -1) => {
    let bound: number | null = null;
    for (const name of names) {
      const value = Number(values[name]);
      if (set.has(name)) bound = value;
      else if (bound === null || sign * (value - bound) >= gap) bound = null;
      else {
        bound += sign * gap;
        moved[name] = bound;
      }
    }
  };
  for (const names of ASCENDING) {
    along(names, 1);
    along(names.toReversed(), -1);
  }
  return moved;
}

/** A value with commas was parted by the list that it came in. */
function joined(sets: readonly string[]): readonly string[] {
  const items: string[] = [];
  for (const part of sets) {
    const last = items.pop();
    if (last === undefined) items.push(part);
    else if (part.includes('=')) items.push(last, part);
    else items.push(`${last},${part}`);
  }
  return items;
}

function settingFrom(item: string, problems: Problem[]): readonly (readonly [string, unknown])[] {
  const at = item.indexOf('=');
  const name = item.slice(0, at === -1 ? undefined : at);
  const refuse = (message: string) => {
    problems.push({ field: name.slice(0, 80), source: SOURCE, message });
    return [];
  };
  if (!isOptionName(name)) return refuse(`unknown option${didYouMean(name, SETTABLE_NAMES)}`);
  if (!SETTABLE_NAMES.includes(name)) {
    return refuse(
      'can not be replayed: only the options of the Memory and Admission groups decide on a request',
    );
  }
  if (at === -1) return refuse(`needs a value: ${SOURCE} ${name}=VALUE`);
  return [checkInto(problems, name, fromText(OPTIONS[name], item.slice(at + 1)), SOURCE)];
}

function checkInto(problems: Problem[], name: OptionName, value: unknown, source: string) {
  const option: Option = OPTIONS[name];
  const { value: checked, problem } = checkValue(name, option, { value, source });
  if (problem !== null) problems.push(problem);
  return [name, checked] as const;
}

/** The rules between options that `serve` has; those on what a replay does not have are left out. */
function checkTogether(values: OptionValues, set: ReadonlySet<string>, problems: Problem[]): void {
  checkRules(
    {
      ...{ command: 'serve', values, backends: [], adminListen: null },
      isDefault: (name) => !set.has(name),
    },
    (field, message) => {
      if (!SETTABLE_NAMES.includes(field)) return;
      problems.push({ field, source: SOURCE, message });
    },
  );
}
