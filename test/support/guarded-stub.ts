/** A gate in front of a stub backend: what most tests of the HTTP surface start from. */
import { expect } from '@jest/globals';
import { eventually } from './eventually.ts';
import { type Flags, startTestGate, type TestGate } from './gate.ts';
import { type StubBackend, type StubOptions, startStubBackend } from './stub-backend.ts';

export const CHAT = '/v1/chat/completions';

export interface GuardedStub {
  readonly url: string;
  readonly backend: StubBackend;
  readonly test: TestGate;
  /** Posts a body as it is. */
  post(body: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Waits until no lease is left. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** Split slots unless a flag says otherwise: nothing is injected into a request. */
export async function startGuardedStub(
  flags: Flags = {},
  options: StubOptions = {},
): Promise<GuardedStub> {
  const backend = await startStubBackend(options);
  const test = await startTestGate({
    backend: [backend.url],
    'kv-layout': 'split',
    'gpu-source': 'none',
    'drain-timeout': 0,
    ...flags,
  });
  return {
    url: test.url,
    backend,
    test,
    post: (body, headers = {}) =>
      fetch(test.url + CHAT, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      }),
    settled: () => eventually(() => expect(test.leases()).toBe(0)),
    async stop() {
      await test.stop();
      await backend.stop();
    },
  };
}

/** A chat of one message; `fields` follow it. */
export function chat(fields: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    model: 'gpt-oss-20b',
    messages: [{ role: 'user', content: 'hi' }],
    ...fields,
  });
}
