/**
 * Reads numbers out of a Hugging Face config.json, or of the language model's
 * part of a multimodal one. The first field that is wrong is kept as the
 * problem; reading goes on with harmless values, so that a parser reads as a
 * plain list of fields.
 */

export interface FieldProblem {
  /** As written in the file, `text_config.` included where it was read there. */
  readonly field: string;
  readonly problem: string;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** What a family's config class fills in for a field that a file leaves out. */
export type FieldDefaults = Readonly<Record<string, number | boolean>>;

/**
 * Where multimodal files keep their language model: transformers' name, that
 * of InternVL and that of DeepSeek-VL2 and DeepSeek-OCR (vLLM:
 * transformers_utils/config.py, configs/deepseek_vl2.py, models/internvl.py).
 */
const NESTED = ['text_config', 'llm_config', 'language_config'] as const;

export class ConfigFields {
  readonly #values: JsonObject;
  readonly #prefix: string;
  readonly #found: { problem: FieldProblem | null };
  #defaults: FieldDefaults = {};
  /** The family by its name in transformers; a part that has none goes by that of the whole. */
  readonly modelType: string | null;

  private constructor(
    values: JsonObject,
    prefix: string,
    found: { problem: FieldProblem | null } = { problem: null },
    wholeType: string | null = null,
  ) {
    this.#values = values;
    this.#prefix = prefix;
    this.#found = found;
    const named = ownValue(values, 'model_type');
    this.modelType =
      typeof named === 'string' ? named : wholeType === null ? null : `${wholeType}_text`;
  }

  /** The fields of the language model, wherever a parsed file keeps them. */
  static ofLanguageModel(json: unknown): ConfigFields {
    if (!isObject(json)) {
      const fields = new ConfigFields({}, '');
      fields.reject('(top level)', 'must be a JSON object');
      return fields;
    }
    const name = NESTED.find((nested) => (ownValue(json, nested) ?? null) !== null);
    const nested = name === undefined ? null : json[name];
    if (name === undefined) return new ConfigFields(json, '');
    if (isObject(nested)) {
      const whole = ownValue(json, 'model_type');
      const wholeType = typeof whole === 'string' ? whole : null;
      return new ConfigFields(nested, `${name}.`, undefined, wholeType);
    }
    const fields = new ConfigFields(json, '');
    fields.reject(name, 'must be an object');
    return fields;
  }

  /** The first problem met so far; null while every field read was sound. */
  get problem(): FieldProblem | null {
    return this.#found.problem;
  }

  get names(): readonly string[] {
    return Object.keys(this.#values);
  }

  /** Words that end a message about what a family does not have. */
  get inFamily(): string {
    return this.modelType === null ? '' : ` in models of type ${this.modelType.slice(0, 60)}`;
  }

  /** From here on a field that is absent has this value; one that is null stays absent. */
  assume(defaults: FieldDefaults): void {
    this.#defaults = defaults;
  }

  reject(name: string, problem: string): void {
    this.#found.problem ??= { field: this.#prefix + name, problem };
  }

  /** The raw value; an explicit null counts as absent, as it does in transformers. */
  raw(name: string): unknown {
    const value = ownValue(this.#values, name);
    return (value === undefined ? ownValue(this.#defaults, name) : value) ?? null;
  }

  /** An integer from 1 to `max`, or null when absent. */
  optional(name: string, max: number): number | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
      this.reject(name, `must be an integer from 1 to ${max}`);
      return null;
    }
    return value;
  }

  /** An integer from 1 to `max`; absent is a problem. */
  required(name: string, max: number): number {
    if (this.raw(name) === null) this.reject(name, 'is missing');
    return this.optional(name, max) ?? 1;
  }

  /** An array of at most `max` entries, or null when absent. */
  list(name: string, max: number): readonly unknown[] | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (Array.isArray(value) && value.length <= max) return value;
    this.reject(name, `must be an array of at most ${max} entries`);
    return null;
  }

  /** The fields of an object inside this one; null when absent or no object. */
  inside(name: string): ConfigFields | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (isObject(value)) return new ConfigFields(value, `${this.#prefix}${name}.`, this.#found);
    this.reject(name, 'must be an object');
    return null;
  }

  /** The first of `names` that the file sets: families name the same thing differently. */
  firstSet(names: readonly [string, ...string[]]): string {
    return names.find((name) => this.raw(name) !== null) ?? names[0];
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function ownValue(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
