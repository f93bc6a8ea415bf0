/** A gate in front of a server that looks like one engine: what the suites of all engines do with it. */
import { afterEach, expect } from '@jest/globals';
import { type Flags, startTestGate, type TestGate } from './gate.ts';

/** No GPU is read, and a gate that is stopped waits for nobody. */
const FLAGS = { 'gpu-source': 'none', 'drain-timeout': 0 };

export interface Stoppable {
  stop(): Promise<void>;
}

export interface GuardedEngine<E> {
  readonly engine: E;
  readonly gate: TestGate;
}

/** Ends what a test started after each test, the latest first. Make one for each suite. */
export class TestEngines {
  readonly #started: Stoppable[] = [];

  constructor() {
    afterEach(async () => {
      for (const each of this.#started.splice(0).toReversed()) await each.stop();
    });
  }

  /** Has it ended as well. */
  keep<T extends Stoppable>(started: T): T {
    this.#started.push(started);
    return started;
  }

  async gateFor(url: string, flags: Flags = {}, simulatedUrl?: string): Promise<TestGate> {
    return this.keep(await startTestGate({ backend: [url], ...FLAGS, ...flags }, simulatedUrl));
  }

  async guard<E extends Stoppable & { readonly url: string }>(
    engine: E,
    flags: Flags = {},
  ): Promise<GuardedEngine<E>> {
    this.keep(engine);
    return { engine, gate: await this.gateFor(engine.url, flags) };
  }
}

export function post(
  gate: TestGate,
  path: string,
  body: object,
  headers: object = {},
): Promise<Response> {
  return fetch(gate.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

export function healthOf(gate: TestGate): readonly string[] {
  return gate.gate.overview.instances().map(({ health }) => health.state);
}

/** What came of an answer whose connection breaks, as it must. */
export async function brokenTextOf(answer: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  const reading = async () => {
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk);
  };
  await expect(reading()).rejects.toThrow();
  return text;
}
