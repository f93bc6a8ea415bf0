/** Which processes are an engine's own, and when that is looked up again. */
import { expect, test } from '@jest/globals';
import { EngineProcesses } from '../../proxy/state/engine-processes.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

function processes(find: () => Promise<ReadonlySet<number> | null>) {
  const clock = new VirtualClock();
  let looks = 0;
  const engines = new EngineProcesses(() => {
    looks += 1;
    return find();
  }, clock);
  const of = (...gpuPids: readonly number[]) => {
    const pids = engines.of('a', gpuPids);
    return pids === null ? null : [...pids];
  };
  return { clock, of, looks: () => looks };
}

test('unknown until the first look is through, and then kept', async () => {
  const { of, looks, clock } = processes(async () => new Set([1, 2]));
  expect(of(1, 9)).toBeNull();
  await settle();
  expect(of(1, 9)).toEqual([1, 2]);
  clock.advance(60_000);
  expect(of(9, 1)).toEqual([1, 2]);
  await settle();
  expect(looks()).toBe(1);
});

test.each<[string, readonly number[]]>([
  ['one is gone', [9]],
  ['one is new', [1, 9, 10]],
])('looked up again when %s, two seconds after the last look at the earliest', async (_, now) => {
  let own = new Set([1]);
  const { of, looks, clock } = processes(async () => own);
  of(1, 9);
  await settle();
  own = new Set([10]);
  clock.advance(1_999);
  expect(of(...now)).toEqual([1]);
  await settle();
  expect(looks()).toBe(1);
  clock.advance(1);
  of(...now);
  await settle();
  expect(of(...now)).toEqual([10]);
  expect(looks()).toBe(2);
});

test('one look at a time, however long it takes', async () => {
  const { of, looks, clock } = processes(() => new Promise(() => {}));
  for (let pid = 1; pid < 10; pid += 1) {
    of(pid);
    clock.advance(60_000);
  }
  expect(looks()).toBe(1);
});

test('a look that fails is one that saw nothing', async () => {
  const { of } = processes(async () => {
    throw new Error('no /proc');
  });
  of(1);
  await settle();
  expect(of(1)).toBeNull();
});
