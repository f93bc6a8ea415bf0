/**
 * Reading answers of an engine's state endpoints. Whatever comes back is
 * untrusted: a field of the wrong type is null, never 0.
 */
import type { EngineIo, EngineReply } from './adapter.ts';

/** The engine answered, but not with what its contract promises. */
export class EngineAnswerError extends Error {
  readonly code = 'engine_bad_answer';

  constructor(path: string, reply: EngineReply, expected: string) {
    super(`${path} answered ${reply.status}, expected ${expected}`);
    this.name = 'EngineAnswerError';
  }
}

/** The parsed text, or undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Member `key` of an object; undefined when `value` is no object or lacks it. */
export function field(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

/** A whole number >= 0, or null. */
export function countField(value: unknown, key: string): number | null {
  const found = field(value, key);
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : null;
}

/** A string that is not empty, or null. */
export function stringField(value: unknown, key: string): string | null {
  const found = field(value, key);
  return typeof found === 'string' && found !== '' ? found : null;
}

/** The elements of an array member; empty when it is no array. */
export function listField(value: unknown, key: string): readonly unknown[] {
  const found = field(value, key);
  return Array.isArray(found) ? found : [];
}

/**
 * GET that must answer 200 with JSON.
 * @throws EngineAnswerError on any other answer; what `io.get` throws when nothing answers.
 */
export async function getJson(io: EngineIo, path: string, signal: AbortSignal): Promise<unknown> {
  const reply = await io.get(path, signal);
  const answer = reply.status === 200 ? parseJson(reply.body) : undefined;
  if (answer === undefined) throw new EngineAnswerError(path, reply, '200 with JSON');
  return answer;
}

/** The parsed answer of a GET, or null when it is refused, not 200 or not JSON. Never throws. */
export async function tryGetJson(
  io: EngineIo,
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    return await getJson(io, path, signal);
  } catch {
    return null;
  }
}

/** What went wrong, in one line for an operator. */
export function faultText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
