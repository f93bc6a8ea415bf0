/**
 * An engine made of a table of answers, for tests of adapters. A route that is
 * not in the table answers 404; an Error in it is a connection that fails.
 */
import { readFileSync } from 'node:fs';
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';

type Answer = EngineReply | Error | ((body: string) => EngineReply);

/** By method and path: `GET /health`. */
export type Answers = Readonly<Record<string, Answer>>;

export interface FakeEngine extends EngineIo {
  /** What was asked, in order: `GET /health`. */
  readonly asked: readonly string[];
}

export function fakeEngine(
  answers: Answers,
  commandLine: readonly string[] | null = null,
): FakeEngine {
  const asked: string[] = [];
  const answer = async (route: string, body: string): Promise<EngineReply> => {
    asked.push(route);
    const found = answers[route] ?? reply(404, '{"detail":"Not Found"}');
    if (found instanceof Error) throw found;
    return typeof found === 'function' ? found(body) : found;
  };
  return {
    asked,
    get: (path) => answer(`GET ${path}`, ''),
    post: (path, body) =>
      answer(`POST ${path}`, typeof body === 'string' ? body : new TextDecoder().decode(body)),
    commandLine: async () => commandLine,
  };
}

export function reply(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): EngineReply {
  return { status, headers, body };
}

export function json(value: unknown, headers: Readonly<Record<string, string>> = {}): EngineReply {
  return reply(200, JSON.stringify(value), headers);
}

export function refusedConnection(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}

/** A recorded-style answer: `llamacpp/props.json` under test/fixtures/engines. */
export function recorded(
  file: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): EngineReply {
  const url = new URL(`../fixtures/engines/${file}`, import.meta.url);
  return reply(status, readFileSync(url, 'utf8'), headers);
}
