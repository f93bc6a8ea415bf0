/**
 * The options that decide about requests: what the decision log tells of its
 * gate, and what `kvgate replay` can set to something else.
 */
import type { Config } from './config.ts';
import { isOptionName, OPTION_GROUPS, type OptionName } from './options.ts';

/** Those that a replay may change: the Memory and Admission groups. */
export const SETTABLE_NAMES: readonly OptionName[] = [
  ...Object.keys(OPTION_GROUPS.Memory ?? {}),
  ...Object.keys(OPTION_GROUPS.Admission ?? {}),
].filter(isOptionName);

/** None of them names a file or holds a secret. */
export const DECIDING_NAMES: readonly OptionName[] = [
  ...SETTABLE_NAMES,
  'poll-interval-ms',
  'stale-after-ms',
  'on-stale',
];

export function decidingValues(options: Config['options']): Readonly<Record<string, unknown>> {
  return Object.fromEntries(DECIDING_NAMES.map((name) => [name, options[name]?.value]));
}
