/** Bodies are read side by side, and what was held of them is given back once, however that ends. */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { LoopShare } from '../../proxy/http/loop-share.ts';
import { BufferBudget, type ReadResult, readBody } from '../../proxy/http/read-body.ts';

const MIB = 1024 * 1024;
const LIMIT_BYTES = 32 * MIB;

function body(...chunks: readonly string[]): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  for (const chunk of chunks) message.push(Buffer.from(chunk));
  return message;
}

function ended(...chunks: readonly string[]): IncomingMessage {
  const message = body(...chunks);
  message.push(null);
  return message;
}

function limits(budgetBytes = 2 * LIMIT_BYTES) {
  const budget = new BufferBudget(budgetBytes);
  return { maxBodyBytes: LIMIT_BYTES, budget, share: new LoopShare() };
}

const { signal } = new AbortController();
const SHORT = `{"messages":[{"role":"user","content":"${'x'.repeat(1_000)}"}]}`;
/** Much work for its length. */
const LONG = `{"messages":[${'{"\\u0074ype":"\\u0074ext"},'.repeat(MIB / 4)}{}]}`;

/** Whether all of the budget is there, and no more. */
function isWhole(budget: BufferBudget, bytes: number): boolean {
  return budget.take(bytes) && !budget.take(1);
}

describe('a short body', () => {
  test('waits a few turns of the event loop for long ones, not for their end', async () => {
    const parts = limits();
    let longLeft = 4;
    const long = Array.from({ length: longLeft }, async () => {
      await readBody(ended(LONG), parts, signal);
      longLeft -= 1;
    });
    await new Promise(setImmediate);
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const read = await readBody(ended(SHORT), parts, signal);
    counting = false;
    expect(read.ok).toBe(true);
    expect(longLeft).toBe(4);
    expect(turns).toBeLessThan(15);
    await Promise.all(long);
  });
});

describe('what is held of a body', () => {
  const released = (read: ReadResult): void => {
    if (read.ok) for (const _twice of [1, 2]) read.request.release();
  };

  test.each([
    ['was read', [SHORT]],
    ['is broken at its end', [SHORT, 'x']],
    ['ends too early', ['{"messages":']],
    ['is broken at once', ['x', SHORT]],
  ])('is given back once where it %s', async (_how, chunks) => {
    const parts = limits(10_000);
    released(await readBody(ended(...chunks), parts, signal));
    expect(isWhole(parts.budget, 10_000)).toBe(true);
  });

  test('is given back once where it is more than all may hold', async () => {
    const parts = limits(1_500);
    const read = await readBody(
      ended(SHORT.slice(0, 1_000), SHORT.slice(1_000), SHORT),
      parts,
      signal,
    );
    expect(read).toMatchObject({ ok: false, problem: { status: 503 } });
    expect(isWhole(parts.budget, 1_500)).toBe(true);
  });

  test('is given back once where it is too long', async () => {
    const parts = { ...limits(10_000), maxBodyBytes: 1_500 };
    const read = await readBody(ended(SHORT, SHORT), parts, signal);
    expect(read).toMatchObject({ ok: false, problem: { status: 413 } });
    expect(isWhole(parts.budget, 10_000)).toBe(true);
  });

  test('is given back once where its client leaves while it is scanned, and more still comes', async () => {
    const parts = limits(LIMIT_BYTES);
    const abort = new AbortController();
    const message = body(LONG);
    const reading = readBody(message, parts, abort.signal);
    await new Promise(setImmediate);
    abort.abort(new Error('left'));
    message.push(Buffer.from(SHORT));
    await expect(reading).rejects.toThrow('left');
    message.push(Buffer.from(SHORT));
    await new Promise(setImmediate);
    expect(isWhole(parts.budget, LIMIT_BYTES)).toBe(true);
  });
});
