/** Reads fields of a request body and remembers the first thing that is wrong with them. */
import type { JsonObject } from './dialect.ts';
import type { ChatMessage } from './tokenizer.ts';
import { chatTokens, textTokens } from './tokenizer.ts';

export class BodyFields {
  readonly #body: JsonObject;
  /** The first problem met, in words for the client; null while all is well. */
  problem: string | null = null;

  constructor(body: JsonObject) {
    this.#body = body;
  }

  /** A whole number within the range; null where it is absent, null or wrong. */
  integer(key: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number | null {
    const value = this.#body[key] ?? null;
    if (value === null) return null;
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      return this.#complain(`${key} must be an integer`, null);
    }
    if (value < min) return this.#complain(`${key} must be at least ${min}, got ${value}.`, null);
    if (value > max) return this.#complain(`${key} must be at most ${max}, got ${value}.`, null);
    return value;
  }

  /** A boolean; absent and null give `fallback`. */
  boolean(key: string, fallback: boolean): boolean {
    const value = this.#body[key] ?? fallback;
    return typeof value === 'boolean'
      ? value
      : this.#complain(`${key} must be a boolean`, fallback);
  }

  /** Tokens of the messages of a chat. */
  chatPrompt(): Uint32Array {
    const messages = this.#body.messages;
    if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
      return this.#complain('messages must be a list of at least one message', new Uint32Array());
    }
    return chatTokens(messages, this.#body.tools);
  }

  /** Tokens of each prompt of a completion: text, token ids, or a list of either. */
  completionPrompts(): Uint32Array[] {
    const { prompt } = this.#body;
    const several = Array.isArray(prompt) && typeof prompt[0] !== 'number';
    const prompts = (several ? prompt : [prompt]).map(promptTokens);
    const known = prompts.filter((tokens) => tokens !== null);
    if (known.length === 0 || known.length < prompts.length) {
      return this.#complain('prompt must be a string, a list of token ids, or a list of these', []);
    }
    return known;
  }

  /** `stream_options.include_usage`. */
  includeUsage(): boolean {
    const options = this.#body.stream_options;
    return isObject(options) && options.include_usage === true;
  }

  /** The seed as far as it matters: not at temperature 0. */
  seed(): string {
    const { seed, temperature } = this.#body;
    return temperature === 0 || seed === undefined || seed === null ? '' : String(seed);
  }

  complain(problem: string): void {
    this.problem ??= problem;
  }

  #complain<T>(problem: string, value: T): T {
    this.complain(problem);
    return value;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isMessage(value: unknown): value is ChatMessage {
  return isObject(value) && typeof value.role === 'string';
}

function promptTokens(prompt: unknown): Uint32Array | null {
  if (typeof prompt === 'string') return textTokens(prompt);
  if (!Array.isArray(prompt) || !prompt.every((id) => Number.isInteger(id) && id >= 0)) return null;
  return Uint32Array.from(prompt);
}
