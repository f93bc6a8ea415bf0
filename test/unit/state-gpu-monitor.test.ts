/** Readings of GPUs: which count, whose they are, and when they are believed. */
import { describe, expect, test } from '@jest/globals';
import { GpuMonitor, type GpuMonitorOptions } from '../../proxy/state/gpu-monitor.ts';
import { FakeGpuSource, recordingLog } from '../support/state-world.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

/** `x` has the first GPU, `y` the second, `z` both. */
const PLACES: Readonly<Record<string, readonly number[]>> = { x: [0], y: [1], z: [0, 1] };

function monitor(options: Partial<GpuMonitorOptions> = {}) {
  const clock = new VirtualClock();
  const source = new FakeGpuSource();
  const { log, lines } = recordingLog();
  const gpu = new GpuMonitor(source, clock, log, {
    staleAfterMs: 5_000,
    gpuIds: [],
    gpuOf: (instance, gpuCount) => (PLACES[instance] ?? []).filter((place) => place < gpuCount),
    ...options,
  });
  const used = (instance: string) =>
    gpu.currentGpus(instance)?.map(({ uuid, usedBytes }) => [uuid, usedBytes]) ?? null;
  return { clock, source, lines, gpu, used };
}

describe('the start', () => {
  test('ends with the first sample', async () => {
    const { clock, source, gpu } = monitor();
    let started = false;
    void gpu.start(3_000).then(() => {
      started = true;
    });
    await settle();
    expect(started).toBe(false);
    source.sample({ A: 1 });
    await settle();
    expect(started).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  test('does not wait for ever', async () => {
    const { clock, gpu } = monitor();
    let started = false;
    void gpu.start(3_000).then(() => {
      started = true;
    });
    clock.advance(3_000);
    await settle();
    expect(started).toBe(true);
    expect([gpu.snapshot, gpu.ageMs]).toEqual([null, null]);
  });
});

test('a fault is told of, and what was read before stays', () => {
  const { source, lines, gpu } = monitor();
  void gpu.start(0);
  source.sample({ A: 100 });
  source.fault('the driver is gone');
  expect(lines).toEqual([{ level: 'warn', msg: 'GPU probe failed' }]);
  expect(gpu.snapshot?.gpus).toHaveLength(1);
});

describe('readings of an instance', () => {
  test('of all its GPUs', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ A: 100, B: 200 });
    expect(used('x')).toEqual([['A', 100]]);
    expect(used('y')).toEqual([['B', 200]]);
    expect(used('z')).toEqual([
      ['A', 100],
      ['B', 200],
    ]);
  });

  test('none before the first sample, and none of an instance without a GPU', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    expect(used('x')).toBeNull();
    source.sample({ A: 100 });
    expect(used('nobody')).toBeNull();
  });

  test('unknown is not zero', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ A: null, B: 200 });
    expect(used('x')).toBeNull();
    expect(used('y')).toEqual([['B', 200]]);
    expect(used('z')).toBeNull();
  });

  test('believed up to the age that is allowed', () => {
    const { clock, source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ A: 100 });
    clock.advance(5_000);
    expect(used('x')).toEqual([['A', 100]]);
    clock.advance(1);
    expect(used('x')).toBeNull();
    expect(gpu.ageMs).toBe(5_001);
    source.sample({ A: 150 });
    expect(used('x')).toEqual([['A', 150]]);
  });

  test('a GPU that vanishes reads as unknown, and nobody gets another one for it', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ A: 100, B: 200 });
    source.sample({ B: 210 });
    expect(used('x')).toBeNull();
    expect(used('y')).toEqual([['B', 210]]);
    expect(used('z')).toBeNull();
    source.sample({ A: 110, B: 220 });
    expect(used('x')).toEqual([['A', 110]]);
  });

  test('another order of the same GPUs changes nothing', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ A: 100, B: 200 });
    source.sample({ B: 210, A: 110 });
    expect(used('x')).toEqual([['A', 110]]);
    expect(used('y')).toEqual([['B', 210]]);
  });

  test('a GPU that turns up later stands behind the others', () => {
    const { source, gpu, used } = monitor();
    void gpu.start(0);
    source.sample({ B: 200 });
    expect(used('x')).toEqual([['B', 200]]);
    source.sample({ A: 100, B: 200 });
    expect(used('x')).toEqual([['B', 200]]);
    expect(used('y')).toEqual([['A', 100]]);
  });
});

describe('--gpu-ids', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['none named: all count', [], ['A', 'B', 'C']],
    ['by index', ['1'], ['B']],
    ['by UUID', ['C', 'A'], ['A', 'C']],
    ['one that is not there', ['7'], []],
  ])('%s', (_what, gpuIds, uuids) => {
    const { source, gpu } = monitor({ gpuIds });
    const heard: string[][] = [];
    gpu.onSample((gpus) => void heard.push(gpus.map(({ uuid }) => uuid)));
    void gpu.start(0);
    source.sample({ A: 1, B: 2, C: 3 });
    expect(gpu.snapshot?.gpus.map(({ uuid }) => uuid)).toEqual(uuids);
    expect(heard).toEqual([uuids]);
  });

  test('positions are those among the GPUs that count', () => {
    const { source, gpu, used } = monitor({ gpuIds: ['B', 'C'] });
    void gpu.start(0);
    source.sample({ A: 1, B: 2, C: 3 });
    expect(used('x')).toEqual([['B', 2]]);
  });
});

test('stop stops the source', async () => {
  const { source, gpu } = monitor();
  void gpu.start(0);
  await gpu.stop();
  source.sample({ A: 1 });
  expect(gpu.snapshot).toBeNull();
});
