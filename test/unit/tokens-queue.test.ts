/** Who waits to be counted, with a thread that the test plays and a clock that it moves. */
import { describe, expect, test } from '@jest/globals';
import type { CountAnswer, CountJob, Posted } from '../../proxy/tokens/count-job.ts';
import { CountingQueue, type ThreadEvents } from '../../proxy/tokens/counting-queue.ts';
import { recordingLog } from '../support/state-world.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const MINUTE_MS = 60_000;
const COUNTED: CountAnswer = {
  outcome: 'counted',
  traits: '',
  counts: [{ lo: 1, expected: 1, hi: 1 }],
};
const LOADED: CountAnswer = { outcome: 'loaded' };

function job(vocabulary: CountJob['vocabulary'] = 'o200k_harmony'): CountJob {
  const framing = { baseTokens: 1, perMessageTokens: 1 };
  return { task: 'prompt', vocabulary, kind: 'chat', body: new Uint8Array(), framing };
}

class PlayedThread {
  readonly posted: Posted[] = [];
  ended = false;
  readonly events: ThreadEvents;

  constructor(events: ThreadEvents) {
    this.events = events;
  }

  get tasks(): readonly string[] {
    return this.posted.map(({ job: { task } }) => task);
  }
}

function world() {
  const clock = new VirtualClock();
  const { log, lines } = recordingLog();
  const threads: PlayedThread[] = [];
  const queue = new CountingQueue(
    (events) => {
      const thread = new PlayedThread(events);
      threads.push(thread);
      return {
        post: (posted) => void thread.posted.push(posted),
        end: () => {
          thread.ended = true;
        },
      };
    },
    clock,
    log,
  );
  const thread = (): PlayedThread => {
    const last = threads.at(-1);
    if (last === undefined) throw new Error('no thread was started');
    return last;
  };
  const answer = (told: CountAnswer) => thread().events.answered(told);
  return { clock, lines, queue, threads, thread, answer };
}

/** What a promise has come to by now. */
async function stateOf<T>(promise: Promise<T>): Promise<T | 'pending'> {
  await settle();
  return Promise.race([promise, Promise.resolve('pending' as const)]);
}

test('a thread is started when there is something to count, and loads the vocabulary first', async () => {
  const { queue, threads, thread, answer } = world();
  expect(threads).toHaveLength(0);
  const count = queue.run(job());
  expect(thread().tasks).toEqual(['load']);
  answer(LOADED);
  expect(thread().tasks).toEqual(['load', 'prompt']);
  answer(COUNTED);
  expect(await count).toEqual(COUNTED);

  const next = queue.run(job());
  expect(thread().tasks).toEqual(['load', 'prompt', 'prompt']);
  answer(COUNTED);
  expect(await next).toEqual(COUNTED);
  expect(threads).toHaveLength(1);
});

test('one at a time, in their order', async () => {
  const { queue, thread, answer } = world();
  const [first, second] = [queue.run(job()), queue.run(job())];
  answer(LOADED);
  expect(thread().tasks).toEqual(['load', 'prompt']);
  answer(COUNTED);
  expect(await first).toEqual(COUNTED);
  expect(await stateOf(second)).toBe('pending');
  expect(thread().tasks).toEqual(['load', 'prompt', 'prompt']);
  answer({ outcome: 'unknown', why: 'x' });
  expect(await second).toEqual({ outcome: 'unknown', why: 'x' });
});

test('who waited too long is answered null and never counted', async () => {
  const { queue, thread, answer, clock } = world();
  const [first, second] = [queue.run(job()), queue.run(job())];
  clock.advance(1_500);
  expect([await first, await second]).toEqual([null, null]);
  // Loading goes on: the next one has use for it.
  answer(LOADED);
  expect(thread().tasks).toEqual(['load']);
});

test('who has waited is counted in what is left of the time', async () => {
  const { queue, thread, answer, clock } = world();
  void queue.run(job());
  clock.advance(300);
  void queue.run(job());
  clock.advance(700);
  answer(LOADED);
  answer(COUNTED);
  expect(thread().posted.map(({ budgetMs }) => budgetMs)).toEqual([MINUTE_MS, 500, 800]);
});

test('a thread that is stuck in one job is replaced, and the rest goes on in the new one', async () => {
  const { queue, threads, thread, answer, clock, lines } = world();
  const stuck = queue.run(job());
  answer(LOADED);
  clock.advance(1_500);
  expect(await stuck).toBeNull();
  clock.advance(1_000);
  const later = queue.run(job());
  expect(threads).toHaveLength(1);
  clock.advance(500);
  expect(threads.map(({ ended }) => ended)).toEqual([true, false]);
  answer(LOADED);
  answer(COUNTED);
  expect(await later).toEqual(COUNTED);
  expect(lines.map(({ level }) => level)).toEqual(['warn']);
  expect(thread().tasks).toEqual(['load', 'prompt']);
});

test('a thread that dies too often is given up for a while', async () => {
  const { queue, threads, thread, clock, answer } = world();
  for (let death = 0; death < 5; death += 1) {
    const count = queue.run(job());
    answer(LOADED);
    thread().events.ended('out of memory');
    expect(await count).toBeNull();
  }
  expect(threads).toHaveLength(5);
  expect(await queue.run(job())).toBeNull();
  expect(threads).toHaveLength(5);
  clock.advance(10 * MINUTE_MS);
  void queue.run(job());
  expect(threads).toHaveLength(6);
});

test('death is no end for those who wait', async () => {
  const { queue, threads, thread, answer } = world();
  const [first, second] = [queue.run(job()), queue.run(job())];
  answer(LOADED);
  thread().events.ended('exit code 1');
  expect(await first).toBeNull();
  expect(threads).toHaveLength(2);
  answer(LOADED);
  answer(COUNTED);
  expect(await second).toEqual(COUNTED);
});

test('a thread that can not be started is no fault of who asks', async () => {
  const { log, lines } = recordingLog();
  const queue = new CountingQueue(
    () => {
      throw new Error('no threads left');
    },
    new VirtualClock(),
    log,
  );
  expect(await queue.run(job())).toBeNull();
  expect(lines).toHaveLength(5);
});

test('a vocabulary that can not be loaded is not tried again', async () => {
  const { queue, threads, thread, answer, lines } = world();
  const file = queue.run(job('file'));
  const other = queue.run(job());
  answer({ outcome: 'unknown', why: 'no model in it' });
  expect(await file).toBeNull();
  expect(await queue.run(job('file'))).toBeNull();
  expect(thread().tasks).toEqual(['load', 'load']);
  answer(LOADED);
  answer(COUNTED);
  expect(await other).toEqual(COUNTED);
  expect(threads).toHaveLength(1);
  expect(lines.map(({ msg }) => msg)).toEqual(['Vocabulary can not be loaded']);
});

test('to load is a job of its own, that says why it failed', async () => {
  const { queue, answer } = world();
  const loading = queue.run({ task: 'load', vocabulary: 'file' });
  answer({ outcome: 'unknown', why: 'no model in it' });
  expect(await loading).toEqual({ outcome: 'unknown', why: 'no model in it' });
});

describe('bounds', () => {
  test('no more than so many wait', async () => {
    const { queue } = world();
    for (let waiting = 0; waiting < 32; waiting += 1) void queue.run(job());
    expect(await stateOf(queue.run(job()))).toBeNull();
  });

  test('an idle thread gives its memory back', async () => {
    const { queue, threads, thread, answer, clock } = world();
    void queue.run(job());
    answer(LOADED);
    answer(COUNTED);
    clock.advance(10 * MINUTE_MS - 1);
    expect(thread().ended).toBe(false);
    clock.advance(1);
    expect(thread().ended).toBe(true);
    void queue.run(job());
    expect(threads).toHaveLength(2);
    expect(thread().tasks).toEqual(['load']);
  });

  test('nobody is left waiting at the end, and nothing is begun after it', async () => {
    const { queue, threads, thread, answer, clock } = world();
    const [first, second] = [queue.run(job()), queue.run(job())];
    answer(LOADED);
    queue.close();
    expect(thread().ended).toBe(true);
    expect([await first, await second]).toEqual([null, null]);
    expect(await queue.run(job())).toBeNull();
    expect(threads).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });
});
