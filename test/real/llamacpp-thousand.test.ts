/**
 * 1,000 requests over every route of a real llama-server that generates, with
 * side doors tried among them: what arrives at the server, seen on the wire and
 * by the server itself, is what the ledger has leases for, and nothing else.
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { Ledger } from '../../proxy/state/ledger.ts';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { splitRequests } from '../support/http-messages.ts';
import { slotsOf } from '../support/llama-client.ts';
import { FILL_IN } from '../support/llama-fill-in.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { type Asked, runMixedLoad } from '../support/mixed-load.ts';
import { type RecordingRelay, startRecordingRelay } from '../support/recording-relay.ts';

const REQUESTS = 1_000;
const CLIENTS = 8;

interface Wanted extends Asked {
  /** What the server makes of it: prompts times samples. */
  readonly sequences: number;
}

/** None of these may reach the server. */
const SIDE_DOORS = [
  '/v1/systemone',
  '/predict',
  '/invocations',
  '/v1/audio/transcriptions',
  '/slots/0?action=erase',
  '/v1//chat/completions',
  '/V1/chat/completions',
  '/v1/chat/completions/',
  '/v1/chat%2fcompletions',
  '/%63ompletion',
  '/props',
  '/api/chat',
];

/** Every route in turn, streamed or not, sometimes with several prompts or samples. */
function wanted(at: number): Wanted {
  const routes = llamacpp.generationRoutes;
  const { path, kind } = routes[at % routes.length] ?? { path: '', kind: 'chat' };
  const round = Math.floor(at / routes.length);
  const streams = round % 2 === 0 && kind !== 'embedding' && kind !== 'ranking';
  const text = `Request ${at} `.repeat(1 + (at % 5));
  const limit = 4 + (at % 23);
  const common = { stream: streams, temperature: 0.8, seed: at };
  const messages = [{ role: 'user', content: text }];
  const several = round % 5 === 1 && !streams ? 2 : 1;
  switch (kind) {
    case 'chat':
      return {
        path,
        streams,
        sequences: several,
        body: { messages, ...common, max_tokens: limit, n: several },
      };
    case 'completion':
    case 'native-text':
      if (path === '/infill') {
        const parts = { input_prefix: text, input_suffix: 'b' };
        return { path, streams, sequences: 1, body: { ...parts, ...common, n_predict: limit } };
      }
      return {
        path,
        streams,
        sequences: several,
        body: { prompt: several === 2 ? [text, [1, 2, 3]] : text, ...common, n_predict: limit },
      };
    case 'responses':
      return {
        path,
        streams,
        sequences: 1,
        body: { input: text, ...common, max_output_tokens: limit },
      };
    case 'messages':
      return { path, streams, sequences: 1, body: { messages, ...common, max_tokens: limit } };
    case 'embedding':
      return { path, streams, sequences: 2, body: { input: [text, 'b'] } };
    case 'ranking':
      return { path, streams, sequences: 3, body: { query: 'a', documents: [text, 'b', 'c'] } };
    default:
      throw new Error(`${path}: nothing asks for ${kind} yet`);
  }
}

describeReal('1,000 requests through kvgate', () => {
  let server: RunningLlamaServer;
  let relay: RecordingRelay;
  let gate: TestGate;
  let tasksSeen = 0;
  const take = jest.spyOn(Ledger.prototype, 'take');

  beforeAll(async () => {
    const args = ['-c', '8192', '-np', '4', '--reranking', ...FILL_IN];
    server = await startLlamaServer(args, {
      onLine: (line) => {
        if (/launch_slot.*processing task/.test(line)) tasksSeen += 1;
      },
    });
    relay = await startRecordingRelay(server.url);
    gate = await startTestGate({
      backend: [relay.url],
      'kv-layout': 'split',
      'queue-max': 100,
      'queue-timeout': 60,
      'gpu-source': 'none',
      'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    });
    take.mockClear();
  });
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
      leaves: (at) => at % 7 === 0,
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
      .filter((line) => line.startsWith('POST ') && !COUNTERS.test(line));
    expect(posts).toHaveLength(leases);
    expect(new Set(posts)).toEqual(
      new Set(llamacpp.generationRoutes.map(({ path }) => `POST ${path}`)),
    );
    // By its own word the server ran exactly the sequences that the leases are for.
    const leased = take.mock.calls.reduce((sum, [{ charge }]) => sum + charge.sequences, 0);
    const asked = Array.from({ length: REQUESTS }, (_, at) => wanted(at).sequences);
    expect(leased).toBe(asked.reduce((sum, sequences) => sum + sequences, 0));
    expect(tasksSeen).toBe(leased);

    await eventually(() => {
      expect(gate.gate.overview.instances()).toMatchObject([
        { leases: 0, committedUnits: 0, heldUnits: 0, sequences: 0 },
      ]);
    }, 15_000);
    expect((await slotsOf(server)).filter((slot) => slot.is_processing)).toEqual([]);
  }, 120_000);
});

/** What kvgate asks for itself, and generates nothing. */
const COUNTERS = /\/(tokenize|apply-template|input_tokens|count_tokens)$/;
