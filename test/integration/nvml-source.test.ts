/** The NVML source through koffi, against a stand-in for the library compiled from C. */
import { afterEach, expect, test } from '@jest/globals';
import { NvmlSource } from '../../proxy/gpu/nvml.ts';
import { loadNvml } from '../../proxy/gpu/nvml-library.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { eventually } from '../support/eventually.ts';
import {
  compileFakeNvml,
  describeCompiled,
  type FakeNvml,
  type NvmlScript,
  nvmlGpu,
} from '../support/fake-nvml.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// Calls run on real threads; the source's own waiting is on a clock that stands
// still until a test moves it.

const POLL_INTERVAL_MS = 500;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function fakeNvml(script: NvmlScript, ...flags: readonly string[]): FakeNvml {
  const fake = compileFakeNvml(script, ...flags);
  cleanups.push(() => fake.remove());
  return fake;
}

async function startSource(fake: FakeNvml, visiblePids: readonly number[] = []) {
  const loaded = await loadNvml(fake.path);
  if (!loaded.ok) throw new Error(loaded.why);
  const clock = new VirtualClock();
  const source = new NvmlSource({
    nvml: loaded.nvml,
    pollIntervalMs: POLL_INTERVAL_MS,
    clock,
    isVisible: (pid) => visiblePids.includes(pid),
  });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  cleanups.push(() => source.stop());
  /** The next sample, a poll from now. */
  const nextSample = async () => {
    const before = samples.length;
    await eventually(() => expect(clock.nextTimerInMs).toBeLessThanOrEqual(POLL_INTERVAL_MS));
    clock.advance(POLL_INTERVAL_MS);
    await eventually(() => expect(samples.length).toBeGreaterThan(before));
    return samples.at(-1) ?? [];
  };
  const firstSample = async () => {
    await eventually(() => expect(samples).toHaveLength(1));
    return samples[0] ?? [];
  };
  const nextFault = async (waitMs: number) => {
    const before = faults.length;
    await eventually(() => expect(clock.nextTimerInMs).toBe(waitMs));
    clock.advance(waitMs);
    await eventually(() => expect(faults.length).toBeGreaterThan(before));
  };
  return { clock, source, samples, faults, firstSample, nextSample, nextFault };
}

describeCompiled('NVML through koffi', () => {
  test('every value of every GPU, the handles opened once', async () => {
    const fake = fakeNvml({ count: 2, ...nvmlGpu(0), ...nvmlGpu(1, { util: 93 }) });
    const { firstSample, nextSample, faults } = await startSource(fake);
    const gpu = (index: number, utilizationPercent: number) => ({
      uuid: `GPU-${index}`,
      index,
      name: 'NVIDIA H100 80GB HBM3',
      totalBytes: 85_520_809_984,
      usedBytes: 1_000_000_000 + index,
      utilizationPercent,
      unknownWhy: null,
      processes: null,
    });
    expect(await firstSample()).toEqual([gpu(0, 7), gpu(1, 93)]);
    fake.say({ count: 2, ...nvmlGpu(0, { used: 5 }), ...nvmlGpu(1, { used: 6 }) });
    const used = (await nextSample()).map(({ usedBytes }) => usedBytes);
    expect(used).toEqual([5, 6]);
    expect(faults).toEqual([]);
    const count = (name: string) => fake.calls().filter((call) => call === name).length;
    expect([count('nvmlInit_v2'), count('nvmlDeviceGetHandleByIndex_v2')]).toEqual([1, 2]);
  });

  test('an older driver: what it reserves is in what is used, and processes all the same', async () => {
    const script = nvmlGpu(0, { used: 500, reserved: 100, processes: '41:300' });
    const { firstSample } = await startSource(fakeNvml(script, '-DOLD_DRIVER'), [41]);
    expect(await firstSample()).toMatchObject([
      { usedBytes: 600, processes: [{ pid: 41, usedBytes: 300 }] },
    ]);
  });

  test('processes: more than there was room for, and one whose memory is not told', async () => {
    const many = Array.from({ length: 300 }, (_, at) => `${at + 1}:${at * 10}`);
    const fake = fakeNvml(nvmlGpu(0, { processes: [...many, '900:?'].join(' ') }));
    const { firstSample } = await startSource(fake, [1]);
    const [gpu] = await firstSample();
    expect(gpu?.processes).toHaveLength(301);
    const asked = fake.calls().filter((call) => call.includes('ComputeRunningProcesses'));
    expect(asked).toHaveLength(2);
    expect(gpu?.processes?.[299]).toEqual({ pid: 300, usedBytes: 2990 });
    expect(gpu?.processes?.[300]).toEqual({ pid: 900, usedBytes: null });
  });

  test.each<[string, NvmlScript, unknown]>([
    ['those of another PID namespace', { processes: '7000:5' }, null],
    ['none, and yet much is in use', { used: 2 ** 30 }, null],
    ['none, and little is in use', { used: 2 ** 22 }, []],
    ['no permission', { processesCode: 4, processes: '41:5' }, null],
  ])('processes that can not be seen are not nobody: %s', async (_what, change, expected) => {
    const { firstSample } = await startSource(fakeNvml(nvmlGpu(0, change)), [41]);
    expect((await firstSample())[0]?.processes).toEqual(expected);
  });

  test('MIG: its instances instead of the GPU, with memory of their own', async () => {
    const fake = fakeNvml({
      count: 2,
      ...nvmlGpu(0, {
        mig: 7,
        'mig0.uuid': 'MIG-a',
        'mig0.name': 'NVIDIA A100 MIG 3g.20gb',
        'mig0.total': 20_000,
        'mig0.used': 1_000,
        'mig0.processes': '41:900',
        'mig2.uuid': 'MIG-b',
        'mig2.total': 10_000,
        'mig2.used': 2_000,
      }),
      ...nvmlGpu(1, { mig: 0 }),
    });
    const { firstSample } = await startSource(fake, [41]);
    expect(await firstSample()).toMatchObject([
      {
        uuid: 'MIG-a',
        index: 100,
        name: 'NVIDIA A100 MIG 3g.20gb',
        totalBytes: 20_000,
        usedBytes: 1_000,
        utilizationPercent: null,
        processes: [{ pid: 41, usedBytes: 900 }],
      },
      { uuid: 'MIG-b', index: 102, name: 'NVIDIA H100 80GB HBM3 MIG 2', usedBytes: 2_000 },
      { uuid: 'GPU-1', index: 1 },
    ]);
  });

  test('MIG without an instance: the memory of the whole says nothing', async () => {
    const { firstSample } = await startSource(fakeNvml(nvmlGpu(0, { mig: 7 })));
    expect(await firstSample()).toMatchObject([
      { uuid: 'GPU-0', totalBytes: null, unknownWhy: 'MIG is enabled, and no instance was made' },
    ]);
  });

  test('memory that is not supported is the machine’s', async () => {
    const { firstSample } = await startSource(fakeNvml(nvmlGpu(0, { memory: 3 })));
    const [gpu] = await firstSample();
    expect(gpu).toMatchObject({ totalBytes: null, usedBytes: null });
    expect(gpu?.unknownWhy).toContain('no memory of its own');
  });

  test.each([
    [9, 'the NVIDIA driver is not loaded'],
    [12, "the driver's library was not found"],
    [18, 'different driver versions'],
  ])('error %i at the start is told, and tried again until it is mended', async (code, words) => {
    const fake = fakeNvml({ init: code, ...nvmlGpu(0) });
    const { faults, nextFault, nextSample, clock } = await startSource(fake);
    await eventually(() => expect(faults).toHaveLength(1));
    expect(faults[0]).toContain('NVML could not be initialized');
    expect(faults[0]).toContain(words);
    expect(faults[0]).toContain(`(NVML error ${code})`);
    await nextFault(1_000);
    fake.say(nvmlGpu(0));
    await eventually(() => expect(clock.nextTimerInMs).toBe(2_000));
    clock.advance(1_500);
    expect(await nextSample()).toMatchObject([{ uuid: 'GPU-0', unknownWhy: null }]);
  });

  test.each([1, 9, 12, 18])('error %i in the middle begins a new session', async (code) => {
    const fake = fakeNvml(nvmlGpu(0));
    const { clock, faults, firstSample, nextFault, nextSample } = await startSource(fake);
    await firstSample();
    fake.say(nvmlGpu(0, { memory: code }));
    await nextFault(POLL_INTERVAL_MS);
    expect(faults).toEqual([expect.stringContaining(`GPU-0: `)]);
    fake.say(nvmlGpu(0, { used: 77 }));
    await eventually(() => expect(clock.nextTimerInMs).toBe(1_000));
    clock.advance(500);
    expect(await nextSample()).toMatchObject([{ usedBytes: 77 }]);
    expect(fake.calls().filter((call) => call === 'nvmlInit_v2')).toHaveLength(2);
  });

  test.each([
    [15, 'has fallen off the bus'],
    [16, 'requires a reset'],
  ])(
    'error %i of one GPU: the others are read on, and it is looked for again',
    async (code, words) => {
      const both = { count: 2, ...nvmlGpu(0), ...nvmlGpu(1) };
      const fake = fakeNvml(both);
      const { faults, firstSample, nextSample } = await startSource(fake);
      await firstSample();
      fake.say({ ...both, 'gpu1.memory': code });
      const sample = await nextSample();
      expect(sample).toMatchObject([
        { uuid: 'GPU-0', usedBytes: 1_000_000_000, unknownWhy: null },
        { uuid: 'GPU-1', totalBytes: null, usedBytes: null },
      ]);
      expect(sample[1]?.unknownWhy).toContain(words);
      await nextSample();
      expect(faults).toEqual([expect.stringContaining(words)]);

      // Mended, but its old handle stays dead until a new session opens it, a second later.
      fake.say(both);
      await nextSample();
      expect(await nextSample()).toMatchObject([{ unknownWhy: null }, { unknownWhy: null }]);
      expect(fake.calls().filter((call) => call === 'nvmlInit_v2').length).toBeGreaterThan(1);
    },
  );

  test('a GPU that is gone when the library is opened anew keeps its reading, as unknown', async () => {
    const both = { count: 2, ...nvmlGpu(0), ...nvmlGpu(1) };
    const fake = fakeNvml(both);
    const { firstSample, nextSample } = await startSource(fake);
    await firstSample();
    fake.say({ ...both, 'gpu0.memory': 15, 'gpu0.handle': 15 });
    for (let polls = 0; polls < 3; polls += 1) await nextSample();
    const sample = await nextSample();
    expect(sample.map(({ uuid, usedBytes }) => [uuid, usedBytes])).toEqual([
      ['GPU-1', 1_000_000_001],
      ['GPU-0', null],
    ]);
    expect(sample[1]?.unknownWhy).toContain('GPU 0 could not be opened');
  });

  test('a call that hangs blocks nothing; none is made beside it, and what it brings is too old', async () => {
    const fake = fakeNvml(nvmlGpu(0));
    const { clock, samples, faults, firstSample, nextSample } = await startSource(fake);
    await firstSample();
    const hanging = 'nvmlDeviceGetMemoryInfo_v2';
    fake.say({ ...nvmlGpu(0, { used: 1 }), hang: hanging });
    clock.advance(POLL_INTERVAL_MS);
    await eventually(() => expect(fake.calls().at(-1)).toBe(hanging));
    const calls = fake.calls().length;

    clock.advance(9_999);
    expect(faults).toEqual([]);
    clock.advance(1);
    expect(faults).toEqual([expect.stringContaining('has not answered for 10000 ms')]);
    clock.advance(600_000);
    expect(fake.calls()).toHaveLength(calls);
    expect(faults).toHaveLength(1);

    fake.say(nvmlGpu(0, { used: 2 }));
    expect(await nextSample()).toMatchObject([{ usedBytes: 2 }]);
    expect(samples.map(([gpu]) => gpu?.usedBytes)).toEqual([1_000_000_000, 2]);
  });

  test('stop lets go of the library; while a call hangs it waits a second and no longer', async () => {
    const fake = fakeNvml(nvmlGpu(0));
    const first = await startSource(fake);
    await first.firstSample();
    await first.source.stop();
    expect(fake.calls().at(-1)).toBe('nvmlShutdown');
    expect(first.clock.pendingTimers).toBe(0);

    fake.say({ ...nvmlGpu(0), hang: 'nvmlInit_v2' });
    const second = await startSource(fake);
    await eventually(() => expect(fake.calls().at(-1)).toBe('nvmlInit_v2'));
    const stopped = second.source.stop();
    second.clock.advance(1_000);
    await stopped;
    expect({ samples: second.samples, faults: second.faults }).toEqual({ samples: [], faults: [] });
    fake.say(nvmlGpu(0));
    await eventually(() => expect(fake.calls().at(-1)).toBe('nvmlShutdown'));
  });
});

test('without koffi NVML is not available, and says why', async () => {
  const missing = async () => {
    throw new Error("Cannot find package 'koffi'\nand more");
  };
  expect(await loadNvml('libnvidia-ml.so.1', missing)).toEqual({
    ok: false,
    why: "the optional package koffi can't be loaded: Cannot find package 'koffi'",
  });
});

test('without the library NVML is not available, and says why', async () => {
  const loaded = await loadNvml('/nonexistent/libnvidia-ml.so.1');
  expect(loaded).toMatchObject({ ok: false });
  expect(loaded.ok ? '' : loaded.why).toContain("/nonexistent/libnvidia-ml.so.1 can't be loaded");
});
