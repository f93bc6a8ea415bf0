/**
 * Typed access to the members of a request body. The first mistake is kept and
 * ends as the 400 the caller sees; readers then go on with null, so that a
 * parser reads like a list of fields.
 */
import { smallValue } from '../proxy/json/splice.ts';
import type { Member } from '../proxy/json/types.ts';
import type { InvalidRequest, ScannedRequest } from './adapter.ts';

/** Longest value ever parsed here: a model's name is the longest of them. */
const MAX_VALUE_BYTES = 512;

export class RequestFields {
  readonly #request: ScannedRequest;
  #problem: InvalidRequest | null = null;

  constructor(request: ScannedRequest) {
    this.#request = request;
  }

  /** The first mistake found so far. */
  get problem(): InvalidRequest | null {
    return this.#problem;
  }

  refuse(param: string, invalid: string): void {
    this.#problem ??= { invalid, param };
  }

  /** Whether the body names the field at all, be it with null. */
  isPresent(name: string): boolean {
    return this.#request.object.members.has(name);
  }

  /** The member, or null when it is absent or JSON null: engines treat both alike. */
  member(name: string): Member | null {
    const member = this.#request.object.members.get(name);
    return member === undefined || member.kind === 'null' ? null : member;
  }

  integer(name: string, range: { readonly min: number; readonly max: number }): number | null {
    const value = this.#value(name);
    if (value === null) return null;
    if (typeof value === 'number' && Number.isInteger(value)) {
      if (value >= range.min && value <= range.max) return value;
    }
    this.refuse(name, `${name} must be a whole number from ${range.min} to ${range.max}`);
    return null;
  }

  /** A number within `allowed`, whose `words` say so to the caller. */
  number(
    name: string,
    allowed: { readonly words: string; readonly includes: (value: number) => boolean },
  ): number | null {
    const value = this.#value(name);
    if (value === null) return null;
    if (typeof value === 'number' && allowed.includes(value)) return value;
    this.refuse(name, `${name} must be a number ${allowed.words}`);
    return null;
  }

  boolean(name: string): boolean | null {
    const value = this.#value(name);
    if (value === null || typeof value === 'boolean') return value;
    this.refuse(name, `${name} must be true or false`);
    return null;
  }

  string(name: string): string | null {
    const value = this.#value(name);
    if (value === null || typeof value === 'string') return value;
    this.refuse(name, `${name} must be a string of at most ${MAX_VALUE_BYTES} bytes`);
    return null;
  }

  /** The parsed value; null when absent; undefined when it is too long to be a sensible one. */
  #value(name: string): unknown {
    const member = this.member(name);
    if (member === null) return null;
    return smallValue(this.#request.body, member, MAX_VALUE_BYTES);
  }
}
