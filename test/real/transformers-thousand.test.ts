/**
 * 1,000 requests over every route of a real `transformers serve` that generates,
 * with side doors tried among them: what arrives at the server, seen on the
 * wire, is what the ledger has leases for, and nothing else.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { transformers } from '../../backend-adapters/transformers.ts';
import { Ledger } from '../../proxy/state/ledger.ts';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { splitRequests } from '../support/http-messages.ts';
import { type Asked, runMixedLoad } from '../support/mixed-load.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { type RecordingRelay, startRecordingRelay } from '../support/recording-relay.ts';
import { startTransformersServer } from '../support/transformers-server.ts';

const REQUESTS = 1_000;
const CLIENTS = 4;

/** None of these may reach the server. */
const SIDE_DOORS = [
  '/load_model',
  '/reset',
  '/v1/audio/transcriptions',
  '/v1/chat/completions/',
  '/v1//chat/completions',
  '/v1/messages',
  '/invocations',
  '/generate',
];

/** Every route in turn, streamed or not; a few tokens each, for one is made at a time. */
function wanted(at: number): Asked {
  const routes = transformers.generationRoutes;
  const { path, kind } = routes[at % routes.length] ?? { path: '', kind: 'chat' };
  const streams = Math.floor(at / routes.length) % 2 === 0;
  const text = `Request ${at} `.repeat(1 + (at % 3));
  const limit = 1 + (at % 3);
  const common = { stream: streams, seed: at };
  switch (kind) {
    case 'chat': {
      const messages = [{ role: 'user', content: text }];
      return { path, streams, body: { messages, ...common, max_tokens: limit } };
    }
    case 'completion':
      return { path, streams, body: { prompt: text, ...common, max_tokens: limit } };
    case 'responses':
      return { path, streams, body: { input: text, stream: streams, max_output_tokens: limit } };
    default:
      throw new Error(`${path}: nothing asks for ${kind} yet`);
  }
}

function suite(): void {
  let server: RunningPythonServer;
  let relay: RecordingRelay;
  let gate: TestGate;
  const take = jest.spyOn(Ledger.prototype, 'take');

  beforeAll(async () => {
    server = await startTransformersServer();
    relay = await startRecordingRelay(server.url);
    gate = await startTestGate({
      backend: [relay.url],
      adapter: 'transformers',
      // No GPU: leases are counted, and their sum is bounded by nothing.
      'gpu-source': 'none',
      'on-stale': 'pass',
      'model-config': join(server.model, 'config.json'),
    });
    take.mockClear();
  }, 150_000);
  afterAll(async () => {
    take.mockRestore();
    await gate.stop();
    await relay.stop();
    await server.stop();
  });

  test('of which none arrives without a lease', async () => {
    const outcomes = await runMixedLoad({
      url: gate.url,
      requests: REQUESTS,
      clients: CLIENTS,
      wanted,
      // How long one takes is known by then.
      leaves: (at) => at > 50 && at % 7 === 0,
      sideDoors: SIDE_DOORS,
    });
    console.info('1,000 mixed requests:', JSON.stringify(outcomes));
    expect(Object.keys(outcomes).sort()).toEqual(['200', '200, left', 'side door 404']);
    expect((outcomes['200'] ?? 0) + (outcomes['200, left'] ?? 0)).toBe(REQUESTS);

    const leases = take.mock.calls.length;
    expect(leases).toBe(REQUESTS);
    const posts = relay
      .connections()
      .flatMap(({ requestBytes }) => splitRequests(requestBytes))
      .map(({ startLine }) => startLine.split(' ', 2).join(' '))
      .filter((line) => line.startsWith('POST '));
    expect(posts).toHaveLength(leases);
    expect(new Set(posts)).toEqual(
      new Set(transformers.generationRoutes.map(({ path }) => `POST ${path}`)),
    );
    await eventually(() => expect(gate.leases()).toBe(0), 30_000);
  }, 300_000);
}

describeReal('1,000 requests through kvgate', suite, findPython('transformers'));
