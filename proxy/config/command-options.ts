/**
 * Options of one command alone (`kvgate estimate`), from its own table: flags
 * only, no variable and no file, since nothing runs on with them.
 */
import type { Option, OptionValue } from './option.ts';
import type { Problem } from './problem.ts';
import { checkValue } from './schema.ts';
import { fromText } from './sources.ts';
import { didYouMean } from './suggest.ts';

export type OptionTable = Readonly<Record<string, Option>>;

/** One value for every option of the table, each of its own type. */
export type ValuesOf<T extends OptionTable> = { readonly [N in keyof T]: T[N]['default'] };

/**
 * Complete values also where there are problems: a bad one gives way to the
 * default, so that all problems are found at once.
 *
 * @param flags by name without dashes, as the command line has them
 */
export function readCommandOptions<T extends OptionTable>(
  table: T,
  flags: Readonly<Record<string, unknown>>,
): { readonly values: ValuesOf<T>; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const values: Record<string, OptionValue> = {};
  for (const [name, option] of Object.entries(table)) {
    const flag = flags[name];
    const raw =
      flag === undefined
        ? { value: option.default, source: 'default' }
        : { value: fromText(option, flag), source: `--${name}` };
    const { value, problem } = checkValue(name, option, raw);
    values[name] = value;
    if (problem !== null) problems.push(problem);
  }
  const known = Object.keys(table).map((name) => `--${name}`);
  for (const name of Object.keys(flags).filter((flag) => !Object.hasOwn(table, flag))) {
    const source = name.length === 1 ? `-${name}` : `--${name}`;
    const message = `unknown option of this command${didYouMean(source, known)}`;
    problems.push({ field: name, source, message });
  }
  // Every value was checked by the entry that types it.
  return { values: values as ValuesOf<T>, problems };
}
