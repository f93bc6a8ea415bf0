/** Long work in steps: all of it gets done, in turns, and what else waits for the event loop gets its turn as well. */
import { describe, expect, test } from '@jest/globals';
import { LoopShare } from '../../proxy/http/loop-share.ts';

/** Keeps the processor busy, as a step of a scan does. */
function busyFor(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Work of so many steps that writes its name down at each. */
function named(log: string[], name: string, steps: number, stepMs: number): () => boolean {
  let left = steps;
  return () => {
    log.push(name);
    busyFor(stepMs);
    left -= 1;
    return left <= 0;
  };
}

describe('work in steps', () => {
  test('that is short is done before anything else is', async () => {
    const log: string[] = [];
    const done = new LoopShare().run(named(log, 'a', 3, 0));
    expect(log).toEqual(['a', 'a', 'a']);
    await done;
  });

  test('that is long lets go of the event loop, and is done in the end', async () => {
    const log: string[] = [];
    const done = new LoopShare().run(named(log, 'a', 20, 1));
    const atFirst = log.length;
    setImmediate(() => log.push('event'));
    await done;
    expect(atFirst).toBeLessThan(20);
    expect(log.filter((name) => name === 'a')).toHaveLength(20);
    expect(log.indexOf('event')).toBeLessThan(log.lastIndexOf('a'));
  });

  test('of several goes on by turns: short work is not behind all of the long', async () => {
    const log: string[] = [];
    const share = new LoopShare();
    const long = share.run(named(log, 'long', 30, 1));
    const short = share.run(named(log, 'short', 2, 1));
    await short;
    const whenShortWasDone = log.length;
    await long;
    expect(whenShortWasDone).toBeLessThan(15);
    expect(log).toHaveLength(32);
  });

  test('of many does not add up in one turn', async () => {
    const share = new LoopShare();
    const log: string[] = [];
    const all = Array.from({ length: 20 }, () => share.run(named(log, 'a', 2, 1)));
    // What was asked for at once did no more than one turn's share, and the step under way.
    expect(log.length).toBeLessThan(10);
    await Promise.all(all);
    expect(log).toHaveLength(40);
  });

  test('that throws fails alone', async () => {
    const share = new LoopShare();
    const log: string[] = [];
    const other = share.run(named(log, 'other', 10, 1));
    const broken = share.run(() => {
      throw new Error('broken');
    });
    await expect(broken).rejects.toThrow('broken');
    await other;
    expect(log).toHaveLength(10);
  });
});
