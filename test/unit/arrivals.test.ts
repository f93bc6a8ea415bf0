/** Chunks are handed on as they come; whoever works on them is woken for many at once, and never left asleep. */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Arrivals } from '../../proxy/http/arrivals.ts';

const CHUNK = Buffer.from('x'.repeat(100));

/** A message whose body the test pushes, as Node's parser does. */
function message(): IncomingMessage {
  return new IncomingMessage(new Socket());
}

function watched(of: IncomingMessage, signal = new AbortController().signal) {
  const taken: Buffer[] = [];
  const arrivals = new Arrivals(of, signal, (chunk) => taken.push(chunk));
  return { arrivals, bytes: () => Buffer.concat(taken).length };
}

describe('a body', () => {
  test('in tiny chunks wakes its reader once for all of a turn', async () => {
    const body = message();
    const { arrivals, bytes } = watched(body);
    let wakes = 0;
    const reading = (async () => {
      while (await arrivals.more()) wakes += 1;
    })();
    await new Promise(setImmediate);
    for (let count = 0; count < 500; count += 1) {
      body.push(CHUNK);
      // Node's parser hands over each chunk in a callback of its own, after which microtasks run.
      await null;
    }
    await new Promise(setImmediate);
    body.push(null);
    await reading;
    expect(bytes()).toBe(50_000);
    expect(wakes).toBeLessThan(3);
  });

  test('is not read on while nobody asks for more', async () => {
    const body = message();
    const { arrivals, bytes } = watched(body);
    const first = arrivals.more();
    for (let count = 0; count < 2_000; count += 1) body.push(CHUNK);
    expect(await first).toBe(true);
    await new Promise(setImmediate);
    const whileNobodyAsked = bytes();
    expect(whileNobodyAsked).toBeLessThan(70_000);
    body.push(null);
    while (await arrivals.more());
    expect(bytes()).toBe(200_000);
  });

  test('that is empty ends at once', async () => {
    const body = message();
    const { arrivals } = watched(body);
    body.push(null);
    expect(await arrivals.more()).toBe(false);
  });
});

describe('whoever waits for more', () => {
  test('hears of an abort', async () => {
    const abort = new AbortController();
    const { arrivals } = watched(message(), abort.signal);
    const waiting = arrivals.more();
    abort.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
  });

  test('hears of an abort that was before', async () => {
    const body = message();
    const { arrivals } = watched(body, AbortSignal.abort(new Error('left')));
    body.push(CHUNK);
    await expect(arrivals.more()).rejects.toThrow('left');
  });

  test.each([new Error('reset'), undefined])('hears of a stream that broke (%s)', async (fault) => {
    const body = message();
    const { arrivals } = watched(body);
    const waiting = arrivals.more();
    body.destroy(fault);
    await expect(waiting).rejects.toThrow(fault?.message ?? 'broke off');
  });
});

test('a message that was let go of may break: nobody need listen', () => {
  const body = message();
  watched(body).arrivals.stop();
  expect(() => body.emit('error', new Error('reset'))).not.toThrow();
});

test('nothing is handed on after stop', async () => {
  const body = message();
  const { arrivals, bytes } = watched(body);
  arrivals.stop();
  body.push(CHUNK);
  await new Promise(setImmediate);
  expect(bytes()).toBe(0);
});
