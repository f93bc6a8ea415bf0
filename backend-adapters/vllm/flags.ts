/**
 * The command line of `vllm serve`, as its parser reads it (vllm/utils/
 * argparse_utils.py): underscores in names count as dashes, and a JSON flag may
 * also be given member by member, as `--speculative-config.method eagle3`.
 */
import { parseJson } from '../engine-answer.ts';

/**
 * Null where there is nothing to read: it can't be seen, or a server process has
 * put its own title in its place, as it does with `--api-server-count`.
 */
export function vllmFlags(commandLine: readonly string[] | null): readonly string[] | null {
  if (commandLine === null || commandLine.length < 2) return null;
  return commandLine.map((arg) => {
    const name = /^--[^=.]+/.exec(arg)?.[0] ?? '';
    return name.replaceAll('_', '-') + arg.slice(name.length);
  });
}

/** The members of a JSON flag; null when it is not given or not an object. */
export function jsonFlag(
  flags: readonly string[],
  names: readonly string[],
): Readonly<Record<string, unknown>> | null {
  const members: Record<string, unknown> = {};
  let given = false;
  for (const [index, arg] of flags.entries()) {
    const [, name = arg, inline] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
    const [flag = '', ...path] = name.split('.');
    if (!names.includes(flag) || path.length > 1) continue;
    const value = inline ?? flags[index + 1] ?? '';
    const parsed = parseJson(value);
    if (path[0] !== undefined) members[memberName(path[0])] = parsed === undefined ? value : parsed;
    else if (!isObject(parsed)) continue;
    else for (const [key, member] of Object.entries(parsed)) members[memberName(key)] = member;
    given = true;
  }
  return given ? members : null;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function memberName(key: string): string {
  return key.replaceAll('-', '_');
}
