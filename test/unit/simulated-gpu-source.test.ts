import { describe, expect, test } from '@jest/globals';
import { SimulatedGpuSource } from '../../proxy/gpu/simulated.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const GPU = {
  uuid: 'GPU-sim-0',
  index: 0,
  name: 'Simulated GPU',
  totalBytes: 85_000_000_000,
  usedBytes: 14_000_000_000,
  utilizationPercent: 12.5,
};

function startSource(read: (signal: AbortSignal, nowMs: number) => Promise<unknown>) {
  const clock = new VirtualClock();
  const source = new SimulatedGpuSource({
    read: (signal) => read(signal, clock.nowMs()),
    pollIntervalMs: 500,
    clock,
  });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  return { clock, source, samples, faults };
}

/** Moves on in small steps, so that reads have their turn in between. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    await settle();
  }
}

test('a sample at once, then one in each interval', async () => {
  let usedBytes = 0;
  const { clock, samples, faults } = startSource(async () => {
    usedBytes += 1000;
    return { gpus: [{ ...GPU, usedBytes }] };
  });
  await settle();
  expect(samples).toEqual([[{ ...GPU, usedBytes: 1000, unknownWhy: null, processes: null }]]);
  await pass(clock, 1000);
  expect(samples.map(([gpu]) => gpu?.usedBytes)).toEqual([1000, 2000, 3000]);
  expect(faults).toEqual([]);
});

test('a failing read is tried again after 1, 2, 4, ... 30 s, and after 1 s again once it worked', async () => {
  let failing = true;
  const readAtMs: number[] = [];
  const { clock, samples, faults } = startSource(async (_, nowMs) => {
    readAtMs.push(nowMs);
    if (failing) throw new Error('connect ECONNREFUSED');
    return { gpus: [GPU] };
  });
  await settle();
  await pass(clock, 91_000);
  const second = 1000;
  expect(readAtMs).toEqual([0, 1, 3, 7, 15, 31, 61, 91].map((at) => at * second));
  expect(faults[0]).toBe('the simulated GPUs could not be read: connect ECONNREFUSED');
  expect(samples).toEqual([]);

  failing = false;
  await pass(clock, 30_000);
  expect(samples).toHaveLength(1);
  failing = true;
  await pass(clock, 500);
  readAtMs.length = 0;
  await pass(clock, 1000);
  expect(readAtMs).toEqual([clock.nowMs()]);
});

test('a read without an answer is given up after 5 s; none is started beside it', async () => {
  const signals: AbortSignal[] = [];
  const { clock, faults } = startSource((signal) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  await pass(clock, 4900);
  expect({ reads: signals.length, faults }).toEqual({ reads: 1, faults: [] });
  await pass(clock, 100);
  expect(signals[0]?.aborted).toBe(true);
  expect(faults).toEqual(['the simulated GPUs could not be read: no answer within 5000 ms']);
  await pass(clock, 1000);
  expect(signals).toHaveLength(2);
});

describe('a malformed answer is a fault', () => {
  test.each([
    { answer: null, why: '"gpus" is not a list of 1 to 64 GPUs' },
    { answer: 'busy', why: '"gpus" is not a list of 1 to 64 GPUs' },
    { answer: {}, why: '"gpus" is not a list of 1 to 64 GPUs' },
    { answer: { gpus: [] }, why: '"gpus" is not a list of 1 to 64 GPUs' },
    { answer: { gpus: Array(65).fill(GPU) }, why: '"gpus" is not a list of 1 to 64 GPUs' },
    { answer: { gpus: [GPU, 7] }, why: 'gpus[1] is not an object' },
    { answer: { gpus: [{ ...GPU, uuid: '' }] }, why: 'gpus[0].uuid is not a text' },
    { answer: { gpus: [{ ...GPU, name: null }] }, why: 'gpus[0].name is not a text' },
    { answer: { gpus: [{ ...GPU, usedBytes: null }] }, why: /^gpus\[0\]\.usedBytes is not/ },
    { answer: { gpus: [{ ...GPU, usedBytes: -1 }] }, why: /^gpus\[0\]\.usedBytes is not/ },
    { answer: { gpus: [{ ...GPU, usedBytes: 9e10 }] }, why: /^gpus\[0\]\.usedBytes is not/ },
    {
      answer: { gpus: [{ ...GPU, totalBytes: Number.NaN }] },
      why: /^gpus\[0\]\.totalBytes is not/,
    },
    { answer: { gpus: [{ ...GPU, utilizationPercent: 101 }] }, why: /utilizationPercent is not/ },
  ])('$why', async ({ answer, why }) => {
    const { samples, faults } = startSource(async () => answer);
    await settle();
    expect(samples).toEqual([]);
    expect(faults).toHaveLength(1);
    const told = faults[0]?.replace('the simulated GPUs could not be read: ', '');
    if (typeof why === 'string') expect(told).toBe(why);
    else expect(told).toMatch(why);
  });
});

describe('stop', () => {
  test('between two reads: nothing runs any more', async () => {
    const { clock, source, samples } = startSource(async () => ({ gpus: [GPU] }));
    await settle();
    await source.stop();
    await pass(clock, 10_000);
    expect(samples).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  test('from within a sample: no other read follows', async () => {
    const clock = new VirtualClock();
    let reads = 0;
    const read = async () => {
      reads += 1;
      return { gpus: [GPU] };
    };
    const source = new SimulatedGpuSource({ read, pollIntervalMs: 500, clock });
    source.start({ sample: () => void source.stop(), fault: () => {} });
    await settle();
    await pass(clock, 10_000);
    expect({ reads, timers: clock.pendingTimers }).toEqual({ reads: 1, timers: 0 });
  });

  test('during a read: it is aborted, and neither a sample nor a fault follows', async () => {
    const signals: AbortSignal[] = [];
    const { clock, source, samples, faults } = startSource((signal) => {
      signals.push(signal);
      return new Promise(() => {});
    });
    await source.stop();
    await pass(clock, 10_000);
    expect(signals[0]?.aborted).toBe(true);
    expect({ samples, faults, timers: clock.pendingTimers }).toEqual({
      samples: [],
      faults: [],
      timers: 0,
    });
  });
});
