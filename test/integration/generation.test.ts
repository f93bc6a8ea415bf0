/** The whole way of a request over real sockets, with the simulated server behind the gate. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';

const simulated = createSimulatedServer({ personality: 'dynamic', attention: 'flash', speed: 100 });
let gate: TestGate;

beforeAll(async () => {
  const { url } = await simulated.listen(0, '127.0.0.1');
  gate = await startTestGate({ backend: [url], attention: 'flash' }, url);
});
afterAll(async () => {
  await gate.stop();
  await simulated.close();
});

function chat(body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gate.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

describe('a request that fits', () => {
  test('is answered with its decision disclosed', async () => {
    const answer = await chat({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 16 });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-kvgate-decision')).toBe('accept');
    expect(answer.headers.get('x-kvgate-max-tokens')).toBe('requested=16; granted=16');
    expect(answer.headers.has('x-kvgate-changed')).toBe(false);
  });

  test('streams to its end and leaves the ledger empty', async () => {
    const body = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 16, stream: true };
    const answer = await chat(body);
    const text = await answer.text();
    expect(text).toContain('"finish_reason":"length"');
    expect(gate.gate.overview.instances().map(({ leases }) => leases)).toEqual([0]);
  });
});
