/**
 * What one option is, and the few shapes options come in. The table itself is
 * options.ts; flags, environment names, file keys, schema and documents all
 * follow from it.
 */

export type OptionValue = string | number | boolean | null | readonly string[];

export interface Option<T extends OptionValue = OptionValue> {
  readonly type: 'string' | 'number' | 'integer' | 'boolean' | 'list' | 'choice';
  readonly description: string;
  /** `null` where the option may be left out and has no default. */
  readonly default: T;
  /** Unit of a number, as shown to people: `s`, `ms`, `MiB`, `GiB`, `tokens`. */
  readonly unit: string | null;
  /** Words a choice, or every item of a list, must come from. */
  readonly choices: readonly string[] | null;
  readonly range: Range | null;
}

/** Both ends included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

interface NumberTraits extends Range {
  readonly unit?: string;
}

const PLAIN = { unit: null, choices: null, range: null } as const;

export function text(description: string, fallback: string): Option<string> {
  return { ...PLAIN, type: 'string', description, default: fallback };
}

export function textOrNone(description: string): Option<string | null> {
  return { ...PLAIN, type: 'string', description, default: null };
}

export function boolean(description: string, fallback: boolean): Option<boolean> {
  return { ...PLAIN, type: 'boolean', description, default: fallback };
}

export function number(
  description: string,
  fallback: number,
  { unit, min, max }: NumberTraits,
): Option<number> {
  const range = { min, max };
  return { ...PLAIN, type: 'number', description, default: fallback, range, unit: unit ?? null };
}

export function integer(
  description: string,
  fallback: number,
  traits: NumberTraits,
): Option<number> {
  return { ...number(description, fallback, traits), type: 'integer' };
}

export function numberOrNone(
  description: string,
  { unit, min, max }: NumberTraits,
): Option<number | null> {
  const range = { min, max };
  return { ...PLAIN, type: 'number', description, default: null, range, unit: unit ?? null };
}

export function integerOrNone(description: string, traits: NumberTraits): Option<number | null> {
  return { ...numberOrNone(description, traits), type: 'integer' };
}

export function choice<const C extends string>(
  description: string,
  choices: readonly C[],
  fallback: NoInfer<C>,
): Option<C> {
  return { ...PLAIN, type: 'choice', description, choices, default: fallback };
}

export function choiceOrNone<const C extends string>(
  description: string,
  choices: readonly C[],
): Option<C | null> {
  return { ...PLAIN, type: 'choice', description, choices, default: null };
}

export function list(description: string): Option<readonly string[]> {
  return { ...PLAIN, type: 'list', description, default: [] };
}

export function listOf<const C extends string>(
  description: string,
  choices: readonly C[],
  fallback: readonly NoInfer<C>[],
): Option<readonly C[]> {
  return { ...PLAIN, type: 'list', description, choices, default: fallback };
}

/** `queue-max` is `KVGATE_QUEUE_MAX` in the environment. */
export function envName(optionName: string): string {
  return `KVGATE_${optionName.toUpperCase().replaceAll('-', '_')}`;
}

/** What a value must be, in words: for problems, help and documents. */
export function expectation(option: Option): string {
  switch (option.type) {
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${option.choices?.join(', ')}`;
    case 'list':
      return option.choices === null
        ? 'a list of words'
        : `a list of words from ${option.choices.join(', ')}`;
    case 'number':
    case 'integer': {
      const kind = option.type === 'integer' ? 'a whole number' : 'a number';
      const unit = option.unit === null ? '' : ` of ${option.unit}`;
      const range = option.range === null ? '' : ` from ${option.range.min} to ${option.range.max}`;
      return kind + unit + range;
    }
  }
}
