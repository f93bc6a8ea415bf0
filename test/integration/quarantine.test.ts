/** An engine that ran out of memory gets no work until it has shown that it can generate. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import {
  ANSWER,
  answerJson,
  answerStream,
  beginStream,
  EVENTS,
  type Script,
} from '../support/stub-backend.ts';

const WORDS = 'CUDA out of memory. Tried to allocate 2.00 GiB';
const OOM = JSON.stringify({ error: { message: WORDS } });

let stub: GuardedStub;
beforeEach(async () => {
  stub = await startGuardedStub();
});
afterEach(() => stub.stop());

async function stateOfBackend(): Promise<string> {
  const health = (await (await fetch(`${stub.url}/health`)).json()) as {
    backends: { state: string }[];
  };
  return health.backends.map(({ state }) => state).join();
}

/** What the backend was sent that no client of ours has sent. */
function proofs(): number {
  return stub.backend.received.filter(({ body }) => body().includes('"max_tokens":1}')).length;
}

const becomes = (state: string) =>
  eventually(async () => expect(await stateOfBackend()).toBe(state));

test('out of memory is 503 without its words, and work goes on after one token', async () => {
  stub.backend.answerWith(answerJson(500, OOM));
  const answer = await stub.post(chat());
  expect([answer.status, await answer.json()]).toEqual([
    503,
    {
      error: {
        code: 'server_is_overloaded',
        message: expect.not.stringContaining('CUDA'),
        param: null,
        type: 'server_error',
      },
    },
  ]);
  expect(answer.headers.get('retry-after')).not.toBeNull();
  expect(stub.test.leases()).toBe(0);
  await becomes('quarantined');
  expect((await stub.post(chat())).status).toBe(503);
  expect(stub.test.logged).toContainEqual(
    expect.objectContaining({
      msg: 'Backend quarantined',
      fields: expect.objectContaining({ detail: expect.stringContaining(WORDS) }),
    }),
  );

  stub.backend.answerWith(answerJson(200, ANSWER));
  await becomes('healthy');
  expect(proofs()).toBeGreaterThanOrEqual(1);
  expect((await stub.post(chat())).status).toBe(200);
});

test('a list of models and a green health route prove nothing', async () => {
  stub.backend.answerWith(answerJson(500, OOM));
  await stub.post(chat());
  await becomes('quarantined');
  // A second attempt has come and failed by now, while every state endpoint answered well.
  await eventually(() => expect(proofs()).toBeGreaterThanOrEqual(2));
  expect(await stateOfBackend()).toBe('quarantined');
});

test.each<[string, Script]>([
  ['the first event', answerStream(`data: ${OOM}\n\n`)],
  ['the first event, and then [DONE]', answerStream(`data: ${OOM}\n\ndata: [DONE]\n\n`)],
])('out of memory in %s of a stream is 503 as well', async (_, script) => {
  stub.backend.answerWith(script);
  const answer = await stub.post(chat({ stream: true }));
  expect(answer.status).toBe(503);
  expect(answer.headers.get('content-type')).toBe('application/json');
  await becomes('quarantined');
});

test('out of memory in the middle of a stream quarantines too', async () => {
  const begun = EVENTS.slice(0, 3).join('');
  stub.backend.answerWith(
    beginStream(begun, ({ response }) => void response.end(`data: ${OOM}\n\n`)),
  );
  const answer = await stub.post(chat({ stream: true }));
  expect(answer.status).toBe(200);
  await expect(answer.text()).rejects.toThrow();
  await becomes('quarantined');
  await stub.settled();
});

test('a first event that says the prompt is too long is the request it refuses, not a fault', async () => {
  const words = 'request (9015 tokens) exceeds the available context size (2048 tokens)';
  stub.backend.answerWith(
    answerStream(`data: ${JSON.stringify({ error: { message: words } })}\n\n`),
  );
  const answer = await stub.post(chat({ stream: true }));
  expect([answer.status, await answer.json()]).toMatchObject([
    400,
    { error: { code: 'context_length_exceeded', message: expect.stringContaining('9015') } },
  ]);
  expect(answer.headers.get('x-should-retry')).toBe('false');
  expect(await stateOfBackend()).toBe('healthy');
  await stub.settled();
});
