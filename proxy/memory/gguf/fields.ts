/**
 * Reads numbers out of a GGUF file's metadata by the part of their keys that
 * follows the architecture's name. As in ConfigFields, the first key that is
 * wrong is kept as the problem and reading goes on with harmless values.
 */
import type { FieldProblem } from '../models/config-fields.ts';
import type { GgufMetadata, GgufValue } from './metadata.ts';

/** Far above any model known, and low enough that no product of them loses its meaning. */
export const GGUF_MAX = {
  layers: 1024,
  heads: 1024,
  headDim: 4096,
  hiddenSize: 2 ** 18,
  intermediateSize: 2 ** 20,
  stateSize: 2 ** 20,
  vocabSize: 2 ** 24,
  contextTokens: 2 ** 27,
  experts: 2 ** 16,
} as const;

/** Names are in every key, so in messages too. */
const NAME = /^[\w.-]{1,64}$/;

export class GgufFields {
  /** `general.architecture`; empty where it is not told, which is a problem then. */
  readonly architecture: string;
  readonly #metadata: GgufMetadata;
  #problem: FieldProblem | null = null;

  constructor(metadata: GgufMetadata) {
    this.#metadata = metadata;
    const name = this.text('general.architecture') ?? '';
    this.architecture = NAME.test(name) ? name : '';
    if (this.architecture === '') {
      this.#problem = { field: 'general.architecture', problem: 'is missing or no name' };
    }
  }

  /** The first problem met so far; null while every key read was sound. */
  get problem(): FieldProblem | null {
    return this.#problem;
  }

  reject(name: string, problem: string): void {
    this.#problem ??= { field: this.#key(name), problem };
  }

  raw(name: string): GgufValue | null {
    return this.#metadata.get(this.#key(name)) ?? null;
  }

  /** By its whole key; null where it is missing, empty or no text. */
  text(key: string): string | null {
    const value = this.#metadata.get(key);
    return typeof value === 'string' && value !== '' ? value : null;
  }

  /** An integer from 1 to `max`; absent is a problem. */
  required(name: string, max: number): number {
    if (this.raw(name) === null) this.reject(name, 'is missing');
    return this.optional(name, max) ?? 1;
  }

  /** An integer from 1 to `max`, or null when absent. */
  optional(name: string, max: number): number | null {
    const value = this.raw(name);
    if (value === null || (isCount(value, max) && value > 0)) return value;
    this.reject(name, `must be an integer from 1 to ${max}`);
    return null;
  }

  /** As `optional`, where 0 says the same as nothing. */
  nonzero(name: string, max: number): number | null {
    return this.raw(name) === 0 ? null : this.optional(name, max);
  }

  /**
   * One number for all layers, or a list with one for each, from 0 to `max`;
   * null when absent or wrong.
   */
  perLayer(name: string, layers: number, max: number): readonly number[] | null {
    const value = this.raw(name);
    if (value === null) return null;
    const list = Array.isArray(value) ? value : Array.from({ length: layers }, () => value);
    if (list.length !== layers) {
      this.reject(name, `must be one number or a list of block_count (${layers})`);
      return null;
    }
    if (!list.every((entry) => isCount(entry, max))) {
      this.reject(name, `must be integers from 0 to ${max}`);
      return null;
    }
    return list;
  }

  /** A list of yes and no that begins with the first layer; null when there is no list. */
  flags(name: string, layers: number): readonly boolean[] | null {
    const value = this.raw(name);
    if (!Array.isArray(value)) return null;
    if (value.length < layers) {
      this.reject(name, `must have an entry for each of ${layers} layers`);
      return null;
    }
    return value.slice(0, layers).map((entry) => entry !== false && entry !== 0);
  }

  #key(name: string): string {
    return `${this.architecture}.${name}`;
  }
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}
