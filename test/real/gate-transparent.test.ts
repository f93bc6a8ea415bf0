/**
 * kvgate in front of a real llama-server with split slots: it is transparent
 * to the byte in both directions, and leaves nothing behind.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { type HttpMessage, splitRequests, splitResponses } from '../support/http-messages.ts';
import { slotsOf } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { type RecordingRelay, startRecordingRelay } from '../support/recording-relay.ts';

const CHAT = '/v1/chat/completions';
const COMPLETIONS = '/v1/completions';

describeReal('kvgate in front of llama-server -c 8192 -np 4', () => {
  let server: RunningLlamaServer;
  let relay: RecordingRelay;
  let gate: TestGate;

  beforeAll(async () => {
    const args = ['-c', '8192', '-np', '4', '--metrics', '--slots', '--slot-save-path', '/tmp/'];
    server = await startLlamaServer(args);
    relay = await startRecordingRelay(server.url);
    gate = await startTestGate({
      backend: [relay.url],
      'kv-layout': 'split',
      'queue-max': 200,
      'queue-timeout': 120,
      'gpu-source': 'none',
      'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    });
  });
  afterAll(async () => {
    await gate.stop();
    await relay.stop();
    await server.stop();
  });

  async function send(url: string, path: string, body: string) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method: 'POST', headers, body });
    return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) };
  }

  /** Generation requests and their answers as they went between kvgate and the server. */
  function recorded(): { request: HttpMessage; response: HttpMessage }[] {
    return relay.connections().flatMap(({ requestBytes, responseBytes }) => {
      const requests = splitRequests(requestBytes);
      const responses = splitResponses(responseBytes, requests);
      return requests.flatMap((request, at) => {
        const response = responses[at];
        const generates = [CHAT, COMPLETIONS].some((path) =>
          request.startLine.startsWith(`POST ${path} `),
        );
        return generates && response !== undefined ? [{ request, response }] : [];
      });
    });
  }

  // Odd spacing, a 64-bit seed, 1.0, an unknown key: all of it must survive.
  const cases = [
    [
      CHAT,
      '{ "messages":[{"role":"user","content":"Tell me a tale."}],\n "max_tokens": 40, "temperature":0, "seed": 42, "x_unknown" : 1.0 }',
    ],
    [
      CHAT,
      '{"seed":42,"stream":true,"temperature":0,"max_tokens":40,"messages":[{"content":"Tell me a t\\u00e4le.","role":"user"}]}',
    ],
    [COMPLETIONS, '{"prompt":"Once upon a time","max_tokens":33,"temperature":0.0,"seed":7}'],
    [
      COMPLETIONS,
      '{"prompt":"Once upon a time","max_tokens":33,"temperature":0,"seed":7,"stream":true,"stream_options":{"include_usage":true}}',
    ],
  ] as const;

  test.each(cases)(
    '%s passes to the byte both ways, and says what the server says: %s',
    async (path, body) => {
      const before = recorded().length;
      const answer = await send(gate.url, path, body);
      expect(answer.status).toBe(200);
      await eventually(() => expect(recorded()).toHaveLength(before + 1));
      const exchange = recorded()[before];
      expect(exchange?.request.body.toString()).toBe(body);
      expect(exchange?.response.complete).toBe(true);
      expect(answer.bytes.equals(exchange?.response.body ?? Buffer.alloc(0))).toBe(true);

      const direct = await send(server.url, path, body);
      expect(textOf(answer.bytes)).toBe(textOf(direct.bytes));
      expect(textOf(answer.bytes).length).toBeGreaterThan(0);
    },
  );

  test('200 mixed requests, a third of them left in the middle, leave no lease and no busy slot', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, at) => mixedRequest(gate.url, at)),
    );
    const counts: Record<string, number> = {};
    for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
    console.info('200 mixed requests with cancellations:', JSON.stringify(counts));
    expect(counts.left ?? 0).toBeGreaterThanOrEqual(40);
    expect(outcomes.filter((outcome) => !['200', 'left'].includes(outcome))).toEqual([]);

    await eventually(() => {
      const [instance] = gate.gate.overview.instances();
      expect(instance).toMatchObject({ leases: 0, committedUnits: 0, heldUnits: 0, sequences: 0 });
    }, 15_000);
    const busy = (await slotsOf(server)).filter((slot) => slot.is_processing);
    expect(busy).toEqual([]);
  }, 120_000);
});

describeReal('a client that leaves an answer that is not streamed', () => {
  test('has its slot back long before the answer would have ended', async () => {
    // About ten seconds of generation; the server is read every 50 ms while nothing lingers.
    const server = await startLlamaServer(['-c', '32768', '-np', '1']);
    const gate = await startTestGate({ backend: [server.url], 'gpu-source': 'none' });
    const leaving = new AbortController();
    const answer = fetch(gate.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'x' }], max_tokens: 30_000 }),
      signal: leaving.signal,
    });
    await eventually(async () => expect((await slotsOf(server))[0]?.is_processing).toBe(true));
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await eventually(() => expect(gate.gate.overview.instances()[0]?.leases).toBe(0), 8_000);
    const [slot] = await slotsOf(server);
    expect(slot?.is_processing).toBe(false);
    expect(slot?.n_prompt_tokens).toBeLessThan(29_000);
    await gate.stop();
    await server.stop();
  });
});

/** The text that an answer carries, streamed or not. */
function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  const documents = text.startsWith('data: ')
    ? text
        .split('\n\n')
        .map((event) => event.replace(/^data: /, ''))
        .filter((data) => data.startsWith('{'))
    : [text];
  return documents
    .flatMap((document) => (JSON.parse(document) as { choices: AnyChoice[] }).choices)
    .map((choice) => choice.text ?? choice.message?.content ?? choice.delta?.content ?? '')
    .join('');
}

interface AnyChoice {
  readonly text?: string;
  readonly message?: { readonly content?: string | null };
  readonly delta?: { readonly content?: string | null };
}

/** Every kind of request in turn; every third leaves before its answer is complete. */
async function mixedRequest(url: string, at: number): Promise<string> {
  const stream = at % 2 === 0;
  const chat = at % 4 < 2;
  const common = { max_tokens: 50 + (at % 7) * 40, stream, temperature: 0.8, seed: at };
  const body = chat
    ? { messages: [{ role: 'user', content: `Request ${at}`.repeat(1 + (at % 9)) }], ...common }
    : { prompt: `Request ${at}`.repeat(1 + (at % 9)), ...common };
  const leaving = new AbortController();
  const leaves = at % 3 === 0;
  try {
    const answer = await fetch(url + (chat ? CHAT : COMPLETIONS), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: leaving.signal,
    });
    if (leaves && stream && answer.body !== null) {
      const reader = answer.body.getReader();
      await reader.read();
      leaving.abort();
      return 'left';
    }
    if (leaves) leaving.abort();
    await answer.arrayBuffer();
    return String(answer.status);
  } catch (error) {
    if (leaving.signal.aborted) return 'left';
    throw error;
  }
}
