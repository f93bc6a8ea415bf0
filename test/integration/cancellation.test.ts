/** Whoever leaves, or is made to leave, frees what it held on both sides, at once. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { answerJson, answerStream, beginStream, EVENTS, STREAM } from '../support/stub-backend.ts';

/** What "at once" may take: 100 ms, and as much again for a busy test machine. */
const AT_ONCE_MS = 200;
const FIRST_EVENT = EVENTS[2] ?? '';
const streaming = chat({ stream: true });

let stub: GuardedStub;
afterEach(() => stub.stop());

async function stats(): Promise<{ queue_length: number; request_ids: string[] }> {
  return (await (await fetch(`${stub.url}/stats`)).json()) as Awaited<ReturnType<typeof stats>>;
}

/** Asks for a stream that has begun and does not end. */
async function openStream(): Promise<{
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly id: string;
}> {
  stub.backend.answerWith(beginStream(FIRST_EVENT, () => {}));
  const answer = await stub.post(streaming);
  const reader = answer.body?.getReader();
  if (reader === undefined) throw new Error('the answer has no body');
  await reader.read();
  return { reader, id: answer.headers.get('x-request-id') ?? '' };
}

async function cancel(id: string): Promise<number> {
  return (await fetch(`${stub.url}/cancel/${id}`, { method: 'POST' })).status;
}

/** One slot that is taken, and a second request that waits for it. */
async function fillSlotAndQueue(
  signal: AbortSignal,
): Promise<{ readonly waiting: Promise<Response> }> {
  stub = await startGuardedStub({}, { slots: 1 });
  await openStream();
  const waiting = fetch(stub.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: chat({ max_tokens: 16 }),
    signal,
  });
  // Awaited by the caller; until then a rejection is nobody's fault.
  waiting.catch(() => {});
  await eventually(async () => expect((await stats()).queue_length).toBe(1));
  return { waiting };
}

describe('a client that leaves', () => {
  test('while it waits in the queue is never forwarded', async () => {
    const leaving = new AbortController();
    await fillSlotAndQueue(leaving.signal);
    leaving.abort();
    await eventually(async () => expect((await stats()).queue_length).toBe(0), AT_ONCE_MS);
    expect(stub.backend.received).toHaveLength(1);
  });

  test('while it sends its body leaves nothing behind', async () => {
    stub = await startGuardedStub();
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, streaming).slice(0, -10));
    await eventually(async () => expect((await stats()).request_ids).toHaveLength(1));
    raw.destroy();
    await eventually(async () => expect((await stats()).request_ids).toEqual([]), AT_ONCE_MS);
    expect(stub.backend.received).toEqual([]);
  });

  test('before the first byte of its answer takes the backend request with it', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(() => {});
    const leaving = new AbortController();
    const sent = fetch(stub.url + CHAT, {
      method: 'POST',
      body: chat(),
      signal: leaving.signal,
      headers: { 'content-type': 'application/json' },
    });
    await eventually(() => expect(stub.backend.open()).toBe(1));
    leaving.abort();
    await expect(sent).rejects.toThrow();
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
    await stub.settled();
  });

  test('in the middle of a stream closes the backend connection; its lease drains, then ends', async () => {
    stub = await startGuardedStub();
    const { reader } = await openStream();
    expect(stub.test.leases()).toBe(1);
    await reader.cancel();
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
    // Only the engine's own word ends it, and that takes two more polls.
    expect(stub.test.leases()).toBe(1);
    await stub.settled();
  });

  test('and half-closes its connection has left as well', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(() => {});
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, chat()));
    await eventually(() => expect(stub.backend.open()).toBe(1));
    raw.end();
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
  });

  test('with garbage after its request gets not a byte of it into its stream', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(beginStream(FIRST_EVENT, () => {}));
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, streaming));
    await raw.until('content');
    raw.send('\x00\x01 not http\r\n\r\n');
    expect(await raw.rest).not.toContain('HTTP/1.1 400');
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
  });
});

describe('a client that never reads', () => {
  test('is cut, and its backend with it', async () => {
    stub = await startGuardedStub({ 'write-stall-timeout': 0.2 });
    const endless = `data: ${'x'.repeat(60_000)}\n\n`;
    stub.backend.answerWith(
      beginStream('', ({ response }) => {
        const more = (): void => {
          if (response.destroyed) return;
          if (response.write(endless)) setImmediate(more);
          else response.once('drain', more);
        };
        more();
      }),
    );
    const raw = await connectRaw(stub.url);
    raw.pause();
    raw.send(rawPost(CHAT, streaming));
    await eventually(() => expect(stub.backend.open()).toBe(1));
    await eventually(() => expect(stub.backend.open()).toBe(0));
    await stub.settled();
    raw.destroy();
  });

  test('is cut as well when all of its answer is written at once', async () => {
    stub = await startGuardedStub({ 'write-stall-timeout': 0.2, 'response-metadata': true });
    stub.backend.answerWith(answerJson(200, JSON.stringify({ text: 'x'.repeat(8_000_000) })));
    const raw = await connectRaw(stub.url);
    raw.pause();
    raw.send(rawPost(CHAT, chat()));
    await eventually(() => expect(stub.backend.received).toHaveLength(1));
    await eventually(async () => expect((await stats()).request_ids).toEqual([]));
    raw.destroy();
  });

  test('does not hold up a shutdown when only the end of its answer is left', async () => {
    stub = await startGuardedStub({ 'drain-timeout': 0.1, 'response-metadata': true });
    stub.backend.answerWith(answerJson(200, JSON.stringify({ text: 'x'.repeat(8_000_000) })));
    const raw = await connectRaw(stub.url);
    raw.pause();
    await raw.send(rawPost(CHAT, chat()));
    await eventually(() =>
      expect(stub.test.logged.map(({ msg }) => msg)).toContain('Admission check'),
    );
    await eventually(() => expect(stub.test.leases()).toBe(0));
    const beganAtMs = performance.now();
    await stub.test.stop();
    expect(performance.now() - beganAtMs).toBeLessThan(5_000);
    raw.destroy();
  });
});

test('a client that is only slow gets everything: its own time is not held against the backend', async () => {
  stub = await startGuardedStub({ 'stream-idle-timeout': 0.1, 'write-stall-timeout': 10 });
  const long = `data: ${'x'.repeat(30_000_000)}\n\ndata: [DONE]\n\n`;
  stub.backend.answerWith(answerStream(long));
  const raw = await connectRaw(stub.url);
  raw.pause();
  await raw.send(rawPost(CHAT, streaming, ['Connection: close']));
  // Time itself is the subject: several times the silence that a backend may keep.
  await delay(500);
  raw.resume();
  expect(await raw.rest).toMatch(/data: \[DONE\]\n\n\r\n0\r\n\r\n$/);
});

describe('POST /cancel', () => {
  test('answers 499 to a request that waits for its first byte', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(() => {});
    const sent = stub.post(chat());
    await eventually(() => expect(stub.backend.open()).toBe(1));
    const [id = ''] = (await stats()).request_ids;
    expect(await cancel(id)).toBe(200);
    const answer = await sent;
    expect([answer.status, await answer.json()]).toMatchObject([
      499,
      { error: { code: 'request_cancelled' } },
    ]);
    expect(answer.headers.get('x-should-retry')).toBe('false');
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
    await stub.settled();
  });

  test('answers 499 to a request that waits in the queue', async () => {
    const { waiting } = await fillSlotAndQueue(new AbortController().signal);
    const [, id = ''] = (await stats()).request_ids;
    expect(await cancel(id)).toBe(200);
    expect((await waiting).status).toBe(499);
    expect(stub.backend.received).toHaveLength(1);
  });

  test('answers 499 to a request whose body is still coming', async () => {
    stub = await startGuardedStub();
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, streaming).slice(0, -10));
    await eventually(async () => expect((await stats()).request_ids).toHaveLength(1));
    const [id = ''] = (await stats()).request_ids;
    expect(await cancel(id)).toBe(200);
    await raw.until('request_cancelled');
    raw.destroy();
  });

  test('ends a stream with an error event and a cut connection', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(beginStream(FIRST_EVENT, () => {}));
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, streaming));
    await raw.until('content');
    const [id = ''] = (await stats()).request_ids;
    expect(await cancel(id)).toBe(200);
    const text = await raw.rest;
    expect(text).toMatch(/data: \{"error":\{.*"code":"request_cancelled"\}\}\n\n\r\n$/);
    expect(text).not.toContain('[DONE]');
    await eventually(() => expect(stub.backend.open()).toBe(0), AT_ONCE_MS);
    await stub.settled();
  });

  test('is counted as what it is', async () => {
    stub = await startGuardedStub();
    const { id } = await openStream();
    await cancel(id);
    await stub.settled();
    const page = await (await fetch(`${stub.url}/metrics`)).text();
    expect(page).toContain('kvgate_streams_cancelled_total{by="operator"} 1');
    expect(page).not.toContain('kvgate_streams_cancelled_total{by="backend"}');
  });

  test('of a request that is over, or never was, is 404', async () => {
    stub = await startGuardedStub();
    stub.backend.answerWith(answerStream(STREAM));
    const answer = await stub.post(streaming);
    await answer.text();
    const over = answer.headers.get('x-request-id') ?? '';
    await eventually(async () => expect(await cancel(over)).toBe(404));
    expect(await cancel('00000000-0000-0000-0000-000000000000')).toBe(404);
    expect(await cancel('anything')).toBe(404);
  });
});
