/** When the NVML source asks, how long it waits, and what it says of single GPUs. */
import { describe, expect, test } from '@jest/globals';
import { NvmlSource } from '../../proxy/gpu/nvml.ts';
import type { Nvml, NvmlAnswer } from '../../proxy/gpu/nvml-api.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { failed, fakeNvml, ok } from '../support/nvml-calls.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

function startSource(change: Partial<Nvml> = {}) {
  const clock = new VirtualClock();
  const source = new NvmlSource({ nvml: fakeNvml(change), pollIntervalMs: 500, clock });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100);
      await settle();
    }
  };
  return { clock, source, samples, faults, pass };
}

test('a sample at once, then one in each interval', async () => {
  const { samples, faults, pass } = startSource();
  await settle();
  expect(samples).toHaveLength(1);
  await pass(1_000);
  expect(samples).toHaveLength(3);
  expect(samples[2]?.map(({ uuid, usedBytes }) => [uuid, usedBytes])).toEqual([
    ['GPU-0', 0],
    ['GPU-1', 1],
  ]);
  expect(faults).toEqual([]);
});

test('while nothing can be read it is tried after 1, 2, 4, ... 30 s', async () => {
  const triedAtMs: number[] = [];
  const clockOf: { clock?: VirtualClock } = {};
  const started = startSource({
    init: async () => {
      triedAtMs.push(clockOf.clock?.nowMs() ?? 0);
      return failed(9);
    },
  });
  clockOf.clock = started.clock;
  await settle();
  await started.pass(91_000);
  expect(triedAtMs).toEqual([0, 1, 3, 7, 15, 31, 61, 91].map((at) => at * 1_000));
  expect(started.faults).toHaveLength(8);
});

test('a round that hangs is told once, and no other begins', async () => {
  let asked = 0;
  const { samples, faults, pass } = startSource({
    memory: () => {
      asked += 1;
      return new Promise(() => {});
    },
  });
  await pass(9_900);
  expect(faults).toEqual([]);
  await pass(60_000);
  expect({ asked, samples: samples.length, faults: faults.length }).toEqual({
    asked: 1,
    samples: 0,
    faults: 1,
  });
});

test('a round that ends late is not told: the next one begins at once', async () => {
  let answer: (memory: NvmlAnswer<{ totalBytes: number; usedBytes: number }>) => void = () => {};
  let asked = 0;
  const { samples, pass } = startSource({
    deviceCount: async () => ok(1),
    memory: () => {
      asked += 1;
      if (asked > 1) return Promise.resolve(ok({ totalBytes: 1_000, usedBytes: 2 }));
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
  });
  await pass(10_000);
  answer(ok({ totalBytes: 1_000, usedBytes: 1 }));
  await settle();
  expect(samples).toEqual([]);
  await pass(100);
  expect(samples.map(([gpu]) => gpu?.usedBytes)).toEqual([2]);
});

describe('a GPU that is in trouble', () => {
  test('is told once for each reason, and looked for in new sessions 1, 2, 4, ... s apart', async () => {
    let code = 15;
    let sessions = 0;
    const { samples, faults, pass } = startSource({
      init: async () => {
        sessions += 1;
        return ok(null);
      },
      memory: async (device) =>
        device === 1n ? failed(code) : ok({ totalBytes: 1_000, usedBytes: 7 }),
    });
    await pass(8_000);
    expect(sessions).toBe(4);
    expect(faults).toEqual([expect.stringMatching(/^GPU-1: .*fallen off the bus/)]);
    expect(samples.length).toBeGreaterThanOrEqual(16);
    expect(samples.every(([first]) => first?.usedBytes === 7)).toBe(true);
    code = 16;
    await pass(1_000);
    expect(faults).toHaveLength(2);
  });

  test('that has no memory of its own is not looked for again', async () => {
    let sessions = 0;
    const { faults, pass } = startSource({
      init: async () => {
        sessions += 1;
        return ok(null);
      },
      memory: async () => failed(3),
    });
    await pass(60_000);
    expect({ sessions, faults: faults.length }).toEqual({ sessions: 1, faults: 1 });
  });

  test('that may not be opened costs the others nothing', async () => {
    const { samples, faults } = startSource({
      device: async (index) => (index === 0 ? failed(4) : ok(1n)),
    });
    await settle();
    expect(samples[0]?.map(({ uuid }) => uuid)).toEqual(['GPU-1']);
    expect(faults).toEqual([expect.stringMatching(/^GPU 0 could not be opened: no permission/)]);
  });

  test('and is the only one: that is a fault, with its reason', async () => {
    const { samples, faults } = startSource({
      deviceCount: async () => ok(1),
      device: async () => failed(15),
    });
    await settle();
    expect(samples).toEqual([]);
    expect(faults).toEqual([expect.stringContaining('fallen off the bus')]);
  });

  test('with more in use than there is: unknown, not full', async () => {
    const { samples } = startSource({
      memory: async () => ok({ totalBytes: 1_000, usedBytes: 1_001 }),
    });
    await settle();
    expect(samples[0]?.[0]).toMatchObject({ totalBytes: null, usedBytes: null });
  });
});

test('no GPU at all is a fault', async () => {
  const { faults } = startSource({ deviceCount: async () => ok(0) });
  await settle();
  expect(faults).toEqual(['the driver lists no GPU']);
});

test('a call that koffi refuses is a fault like any other', async () => {
  const { faults, samples, pass } = startSource({
    deviceCount: async () => {
      throw new Error('Too many resident asynchronous calls');
    },
  });
  await settle();
  await pass(1_000);
  expect(samples).toEqual([]);
  expect(faults).toEqual(Array(2).fill('Too many resident asynchronous calls'));
});

describe('stop', () => {
  test('between two rounds: the session is ended, and nothing runs any more', async () => {
    let ended = 0;
    const { clock, source, samples, pass } = startSource({
      shutdown: async () => {
        ended += 1;
        return ok(null);
      },
    });
    await settle();
    await source.stop();
    await pass(10_000);
    expect({ ended, samples: samples.length, timers: clock.pendingTimers }).toEqual({
      ended: 1,
      samples: 1,
      timers: 0,
    });
  });

  test('during a round that hangs: neither sample nor fault follows', async () => {
    const { source, samples, faults, pass } = startSource({ init: () => new Promise(() => {}) });
    const stopped = source.stop();
    await pass(60_000);
    await stopped;
    expect({ samples, faults }).toEqual({ samples: [], faults: [] });
  });
});
