/**
 * Flags, environment and file become one raw value for every option: flag >
 * environment > file > default. Words that name no option are problems.
 */
import { envName, type Option } from './option.ts';
import { isOptionName, OPTION_NAMES, OPTIONS, type OptionName } from './options.ts';
import type { Problem } from './problem.ts';
import { didYouMean } from './suggest.ts';

export interface Sources {
  /** By flag name without dashes: text, `true`/`false`, or an array where it was repeated. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The parsed YAML mapping and the file's name; null without `--config`. */
  readonly file: {
    readonly name: string;
    readonly entries: Readonly<Record<string, unknown>>;
  } | null;
}

export interface RawValue {
  readonly value: unknown;
  /** As in Problem. */
  readonly source: string;
}

export type RawValues = Readonly<Record<OptionName, RawValue>>;

/** Never throws: what can't be understood is left for the schema to refuse. */
export function mergeSources(sources: Sources): { raw: RawValues; problems: Problem[] } {
  const raw = Object.fromEntries(
    OPTION_NAMES.map((name) => [name, rawValueOf(name, sources)]),
  ) as RawValues;
  const problems = [
    ...unknownFlags(sources.flags),
    ...unknownVariables(sources.env),
    ...unknownKeys(sources.file),
  ];
  return { raw, problems };
}

function rawValueOf(name: OptionName, { flags, env, file }: Sources): RawValue {
  const option: Option = OPTIONS[name];
  const flag = flags[name];
  if (flag !== undefined) return { value: fromText(option, flag), source: `--${name}` };
  const variable = variableValue(envName(name), env);
  if (variable !== undefined) return { value: fromText(option, variable), source: envName(name) };
  const entry = file !== null && Object.hasOwn(file.entries, name) ? file.entries[name] : undefined;
  if (file !== null && entry !== undefined) return { value: entry, source: file.name };
  return { value: option.default, source: 'default' };
}

/** An empty variable counts as unset: that is what `VAR=${VAR:-}` in a compose file gives. */
function variableValue(name: string, env: Sources['env']): string | undefined {
  const value = env[name];
  return value === '' || isServiceLink(name, value) ? undefined : value;
}

const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** Text of a flag or variable as the option's type; text that is none stays text. */
export function fromText(option: Option, value: unknown): unknown {
  if (option.type === 'list' && Array.isArray(value)) {
    return value.flatMap((item) => splitList(String(item)));
  }
  if (typeof value !== 'string') return value;
  if (option.type === 'list') return splitList(value);
  const word = value.trim();
  if (option.type === 'boolean') return word === 'true' ? true : word === 'false' ? false : value;
  if (option.type === 'number' || option.type === 'integer') {
    return DECIMAL.test(word) ? Number(word) : value;
  }
  return value;
}

/** `a, b` is two items; empty ones are dropped. */
export function splitList(items: string): string[] {
  return items
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function unknownFlags(flags: Sources['flags']): Problem[] {
  const known = OPTION_NAMES.map((name) => `--${name}`);
  return Object.keys(flags)
    .filter((name) => !isOptionName(name))
    .map((name) => {
      const flag = name.length === 1 ? `-${name}` : `--${name}`;
      const message = `unknown option${didYouMean(flag, known)}`;
      return { field: name, source: flag, message };
    });
}

function unknownVariables(env: Sources['env']): Problem[] {
  const known = OPTION_NAMES.map(envName);
  return Object.keys(env)
    .filter((name) => name.startsWith('KVGATE_') && !known.includes(name))
    .filter((name) => !isServiceLink(name, env[name]))
    .map((name) => ({
      field: name,
      source: name,
      message: `unknown environment variable${didYouMean(name, known)}`,
    }));
}

/** Kubernetes puts such variables into every pod beside a Service named `kvgate`. */
function isServiceLink(name: string, value: string | undefined): boolean {
  if (name === 'KVGATE_PORT') return value?.startsWith('tcp://') ?? false;
  return /^KVGATE_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))(_|$)/.test(name);
}

function unknownKeys(file: Sources['file']): Problem[] {
  if (file === null) return [];
  const known = OPTION_NAMES.filter((name) => name !== 'config');
  return Object.keys(file.entries)
    .filter((key) => !isOptionName(key) || key === 'config')
    .map((key) => ({
      field: key,
      source: file.name,
      message:
        key === 'config' ? 'a file names no other file' : `unknown key${didYouMean(key, known)}`,
    }));
}
