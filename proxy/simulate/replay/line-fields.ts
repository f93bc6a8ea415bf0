/** The fields of one line of a log: each is what it must be, or it is told which is not. */

/** The line is not what it must be. The message names the field. */
export class FieldError extends Error {
  readonly code = 'bad_line';
}

const MOST = 2 ** 53;

export class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #prefix: string;

  constructor(fields: Readonly<Record<string, unknown>>, prefix = '') {
    this.#fields = fields;
    this.#prefix = prefix;
  }

  value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : null;
  }

  text(name: string): string {
    const value = this.value(name);
    return typeof value === 'string' ? value : this.#fail(name, 'is no text');
  }

  textOrNull(name: string): string | null {
    return this.value(name) === null ? null : this.text(name);
  }

  flag(name: string): boolean {
    const value = this.value(name);
    return typeof value === 'boolean' ? value : this.#fail(name, 'is neither true nor false');
  }

  /** A number that is not negative; a fraction may be one. */
  count(name: string): number {
    const value = this.value(name);
    const isCount = typeof value === 'number' && value >= 0 && value <= MOST;
    return isCount ? value : this.#fail(name, 'is no count');
  }

  countOrNull(name: string): number | null {
    return this.value(name) === null ? null : this.count(name);
  }

  oneOf<const C extends string>(name: string, words: readonly C[]): C {
    const value = this.value(name);
    return words.find((word) => word === value) ?? this.#fail(name, 'is not known');
  }

  object(name: string): Readonly<Record<string, unknown>> {
    const value = this.value(name);
    return isObject(value) ? value : this.#fail(name, 'is no JSON object');
  }

  inside(name: string): Fields {
    return new Fields(this.object(name), `${this.#prefix}${name}.`);
  }

  #fail(name: string, what: string): never {
    throw new FieldError(`${this.#prefix}${name} ${what}`);
  }
}

/** @throws FieldError for a line that is no JSON object */
export function parsedFields(line: string): Fields {
  const json = parsed(line);
  if (!isObject(json)) throw new FieldError('is no JSON object');
  return new Fields(json);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
