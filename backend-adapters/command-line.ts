/**
 * Reading the engine's own command line. It is the only place where some
 * settings show at all; settings from the environment or a file stay unseen.
 */

/** The last value given for any of `names`, as `--name value` or `--name=value`; else null. */
export function flagValue(args: readonly string[], names: readonly string[]): string | null {
  let found: string | null = null;
  for (const [index, arg] of args.entries()) {
    const equals = arg.indexOf('=');
    if (names.includes(arg)) found = args[index + 1] ?? null;
    else if (equals > 0 && names.includes(arg.slice(0, equals))) found = arg.slice(equals + 1);
  }
  return found;
}

/** The last whole number given for any of `names`; null when there is none. */
export function flagInteger(args: readonly string[], names: readonly string[]): number | null {
  const value = flagValue(args, names);
  return value !== null && /^-?\d{1,12}$/.test(value) ? Number(value) : null;
}

/** Which of two opposite switches was given last: true, false, or null for neither. */
export function flagSwitch(
  args: readonly string[],
  on: readonly string[],
  off: readonly string[],
): boolean | null {
  const last = args.findLast((arg) => on.includes(arg) || off.includes(arg));
  return last === undefined ? null : on.includes(last);
}
