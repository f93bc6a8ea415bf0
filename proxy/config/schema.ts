/** The table as a zod schema: checks one value at a time, and is the published file schema. */
import { z } from 'zod';
import { expectation, type Option } from './option.ts';
import { OPTION_NAMES, OPTIONS, type OptionName, type OptionValues } from './options.ts';
import { type Problem, shown } from './problem.ts';
import { type RawValues, splitList } from './sources.ts';

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
      const { value, source } = raw[name];
      const option: Option = OPTIONS[name];
      if (source === 'default') return [name, option.default];
      const result = schemaOf(option).safeParse(value);
      if (result.success) return [name, result.data];
      const message = `must be ${expectation(option)}, not ${shown(value)}`;
      problems.push({ field: name, source, message });
      return [name, option.default];
    }),
  );
  // The schema of each option was built from the same entry that types its value.
  return { values: values as OptionValues, problems };
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
