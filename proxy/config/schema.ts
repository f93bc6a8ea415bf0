/** The table as a zod schema: checks one value at a time, and is the published file schema. */
import { z } from 'zod';
import { expectation, type Option, type OptionValue } from './option.ts';
import { OPTION_NAMES, OPTIONS, type OptionName, type OptionValues } from './options.ts';
import { type Problem, shown } from './problem.ts';
import { type RawValue, type RawValues, splitList } from './sources.ts';

const MAX_TEXT = 4096;
const MAX_ITEMS = 256;

/**
 * Every raw value checked against its option. Values are complete and typed
 * also when there are problems (a bad one gives way to the default), so that
 * later rules can go on and find the rest.
 */
export function checkValues(raw: RawValues): { values: OptionValues; problems: Problem[] } {
  const problems: Problem[] = [];
  const values = Object.fromEntries(
    OPTION_NAMES.map((name) => {
      const option: Option = OPTIONS[name];
      const checked = checkValue(name, option, raw[name]);
      if (checked.problem !== null) problems.push(checked.problem);
      return [name, checked.value];
    }),
  );
  // The schema of each option was built from the same entry that types its value.
  return { values: values as OptionValues, problems };
}

/** One raw value against its option; the default and a problem where it does not do. */
export function checkValue(
  name: string,
  option: Option,
  { value, source }: RawValue,
): { readonly value: OptionValue; readonly problem: Problem | null } {
  if (source === 'default') return { value: option.default, problem: null };
  const result = schemaOf(option).safeParse(value);
  if (result.success) return { value: result.data as OptionValue, problem: null };
  const message = `must be ${expectation(option)}, not ${shown(value)}`;
  return { value: option.default, problem: { field: name, source, message } };
}

function schemaOf(option: Option): z.ZodType {
  switch (option.type) {
    case 'string':
      return z.string().min(1).max(MAX_TEXT);
    case 'boolean':
      return z.boolean();
    case 'choice':
      return z.enum(option.choices ?? []);
    case 'list':
      return listSchema(option);
    case 'number':
    case 'integer': {
      const base = option.type === 'integer' ? z.int() : z.number();
      return option.range === null ? base : base.min(option.range.min).max(option.range.max);
    }
  }
}

/** A list in a file may be a YAML list, or one line with commas; GPU indexes may be bare. */
function listSchema({ choices }: Option): z.ZodType {
  const word: z.ZodType<string, string> =
    choices === null ? z.string().min(1).max(MAX_TEXT) : z.enum(choices);
  const item = choices === null ? z.union([word, z.int().transform(String)]) : word;
  const line = z.string().transform(splitList).pipe(z.array(word).max(MAX_ITEMS));
  return z.union([z.array(item).max(MAX_ITEMS), line]);
}

/** JSON schema (draft 2020-12) of a configuration file. */
export function fileJsonSchema(): Record<string, unknown> {
  const inFile = (name: OptionName): boolean => name !== 'config';
  const shape = Object.fromEntries(
    OPTION_NAMES.filter(inFile).map((name) => {
      const option: Option = OPTIONS[name];
      const description =
        option.unit === null ? option.description : `${option.description} (${option.unit})`;
      const meta = option.default === null ? {} : { default: option.default };
      const schema = schemaOf(option).optional();
      return [name, schema.meta({ description, ...meta })];
    }),
  );
  return z.toJSONSchema(z.strictObject(shape).meta({ title: 'kvgate configuration' }), {
    io: 'input',
  });
}
