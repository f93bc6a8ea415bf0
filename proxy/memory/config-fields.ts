/**
 * Reads numbers out of a Hugging Face config.json, or of its `text_config`
 * where the language model of a multimodal one is nested there. The first
 * field that is wrong is kept as the problem; reading goes on with harmless
 * values, so that a parser reads as a plain list of fields.
 */

export interface FieldProblem {
  /** As written in the file, `text_config.` included where it was read there. */
  readonly field: string;
  readonly problem: string;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class ConfigFields {
  readonly #values: JsonObject;
  readonly #prefix: string;
  #problem: FieldProblem | null = null;

  constructor(json: unknown) {
    const root = isObject(json) ? json : {};
    const nested = isObject(root.text_config) ? root.text_config : null;
    this.#values = nested ?? root;
    this.#prefix = nested === null ? '' : 'text_config.';
    if (!isObject(json)) {
      this.#problem = { field: '(top level)', problem: 'must be a JSON object' };
    } else if (nested === null && (root.text_config ?? null) !== null) {
      this.reject('text_config', 'must be an object');
    }
  }

  /** The first problem met so far; null while every field read was sound. */
  get problem(): FieldProblem | null {
    return this.#problem;
  }

  reject(name: string, problem: string): void {
    this.#problem ??= { field: this.#prefix + name, problem };
  }

  /** The raw value; an explicit null counts as absent, as it does in transformers. */
  raw(name: string): unknown {
    return this.#values[name] ?? null;
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
}
