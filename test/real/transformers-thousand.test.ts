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

interface Wanted {
  readonly path: string;
  readonly body: object;
  readonly streams: boolean;
}

/** Every route in turn, streamed or not; a few tokens each, for one is made at a time. */
function wanted(at: number): Wanted {
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

  const post = (path: string, body: object, signal: AbortSignal | null = null) =>
    fetch(gate.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });

  /** Every seventh stream is left after its first bytes: by then it is at the server, and how long it takes is known. */
  async function serve(at: number): Promise<string> {
    const { path, body, streams } = wanted(at);
    const leaving = new AbortController();
    const answer = await post(path, body, leaving.signal);
    if (streams && at > 50 && at % 7 === 0) {
      await answer.body?.getReader().read();
      leaving.abort();
      return `${answer.status}, left`;
    }
    const text = await answer.text();
    return answer.status === 200 ? '200' : `${path}: ${answer.status} ${text}`;
  }

  test('of which none arrives without a lease', async () => {
    const outcomes: Record<string, number> = {};
    const note = (outcome: string) => {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    };
    let next = 0;
    const client = async () => {
      while (next < REQUESTS) {
        const at = next++;
        note(await serve(at));
        const door = SIDE_DOORS[at % 40];
        if (door !== undefined) note(`side door ${(await post(door, wanted(0).body)).status}`);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
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
