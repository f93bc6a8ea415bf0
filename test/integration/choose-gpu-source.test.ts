/** Which reader of GPU memory is taken, and what is said of it. */
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { chooseGpuSource, type GpuSourceDeps } from '../../proxy/gpu/choose.ts';
import type { Nvml } from '../../proxy/gpu/nvml-api.ts';
import { dcgmPage } from '../support/dcgm-page.ts';
import { type FakeNvidiaSmi, gpuLine, installFakeNvidiaSmi } from '../support/fake-nvidia-smi.ts';
import { failed, fakeNvml, ok } from '../support/nvml-calls.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const NOWHERE = join(tmpdir(), 'kvgate-no-such-folder');
const MEMINFO = 'MemTotal: 1000 kB\nMemAvailable: 600 kB\n';
const PAGE = dcgmPage([{ gpu: 0, usedMib: 1, freeMib: 2 }]);
const NO_KOFFI = { ok: false, why: 'koffi is missing' } as const;
const NA_LINE = '0, GPU-0, NVIDIA GB10, [N/A], [N/A], 3, [N/A]\n';
const MIG_LINE = '1, GPU-1, NVIDIA A100, 40960, 10, [N/A], Enabled\n';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** An nvidia-smi that prints these lines in every round; without any it hangs. */
function smi(...lines: readonly string[]): FakeNvidiaSmi {
  const fake = installFakeNvidiaSmi([
    { stdout: [lines.join('')], atEnd: lines.length === 0 ? 'hang' : 'repeat' },
  ]);
  cleanups.push(() => fake.remove());
  return fake;
}

interface Machine {
  readonly nvml?: Partial<Nvml>;
  readonly path?: string;
  readonly meminfo?: string;
  /** The page of the exporter whose address was given. */
  readonly dcgm?: string;
  readonly gpuIds?: readonly string[];
  readonly simulated?: boolean;
}

/** Chooses on a machine that has what is named and nothing else. */
async function choose(wanted: Parameters<typeof chooseGpuSource>[0], machine: Machine = {}) {
  const { nvml, meminfo, dcgm } = machine;
  const clock = new VirtualClock();
  const deps: GpuSourceDeps = {
    pollIntervalMs: 20,
    clock,
    gpuIds: machine.gpuIds ?? [],
    searchPath: machine.path ?? NOWHERE,
    loadNvml: async () => (nvml === undefined ? NO_KOFFI : { ok: true, nvml: fakeNvml(nvml) }),
    readMeminfo: async () => {
      if (meminfo === undefined) throw new Error('ENOENT');
      return meminfo;
    },
    dcgm: {
      url: 'http://exporter:9400/metrics',
      isGiven: dcgm !== undefined,
      read: async () => {
        if (dcgm === undefined || dcgm === '') throw new Error('ECONNREFUSED');
        return dcgm;
      },
    },
    ...(machine.simulated ? { readSimulated: async () => ({ gpus: [] }) } : {}),
  };
  // Children print in real time, while waiting for them is on the clock: it is moved along slowly.
  const moving = setInterval(() => clock.advance(50), 5);
  try {
    return await chooseGpuSource(wanted, deps);
  } finally {
    clearInterval(moving);
  }
}

async function name(...args: Parameters<typeof choose>): Promise<string> {
  return (await choose(...args)).source.name;
}

describe('auto', () => {
  test('a simulated server does not use the GPUs of this machine', async () => {
    const { source, why } = await choose('auto', { simulated: true, nvml: {} });
    expect(source.name).toBe('simulated');
    expect(why).toBe('GPU memory is read from the simulated server.');
  });

  test('NVML before all else, where a device answers', async () => {
    const fake = smi(gpuLine(0, 1));
    const { source, why } = await choose('auto', { nvml: {}, path: fake.folder, dcgm: PAGE });
    expect(source.name).toBe('nvml');
    expect(why).toBe('GPU memory is read through NVML.');
    expect(fake.starts()).toEqual([]);
  });

  test('NVML that sees processes says so', async () => {
    const computeProcesses = async () => ok([{ pid: process.pid, usedBytes: 1 }]);
    const { why } = await choose('auto', { nvml: { computeProcesses } });
    expect(why).toBe('GPU memory is read through NVML, with the memory of each process.');
  });

  test('NVML that can not see processes says so', async () => {
    const { why } = await choose('auto', { nvml: { computeProcesses: async () => failed(4) } });
    expect(why).toContain('without the memory of each process');
  });

  test('nvidia-smi where there is no koffi, found in a later folder of PATH', async () => {
    const fake = smi(gpuLine(0, 1));
    const path = [NOWHERE, '', fake.folder].join(delimiter);
    const { source, why } = await choose('auto', { path, dcgm: PAGE });
    expect(source.name).toBe('nvidia-smi');
    expect(why).toBe(
      `GPU memory is read by ${fake.command}. (NVML is not available: koffi is missing.)`,
    );
  });

  test('the DCGM exporter where nothing else is, and its address was given', async () => {
    const { source, why } = await choose('auto', { dcgm: PAGE });
    expect(source.name).toBe('dcgm');
    expect(why).toContain('the DCGM exporter at http://exporter:9400/metrics');
    expect(why).toContain('every 30 s');
  });

  test('none where there is nothing to read', async () => {
    const { source, why } = await choose('auto', { meminfo: MEMINFO });
    expect(source.name).toBe('none');
    expect(why).toBe(
      'GPU memory is not read: NVML is not available: koffi is missing; nvidia-smi is not in PATH.',
    );
  });

  test('unified where no GPU has memory of its own, by NVML', async () => {
    const { source, why } = await choose('auto', {
      nvml: { memory: async () => failed(3) },
      meminfo: MEMINFO,
    });
    expect(source.name).toBe('unified');
    expect(why).toContain("the machine's memory (MemAvailable of /proc/meminfo)");
  });

  test('unified where no GPU has memory of its own, by nvidia-smi', async () => {
    const { folder } = smi(NA_LINE);
    expect(await name('auto', { path: folder, meminfo: MEMINFO })).toBe('unified');
  });

  test('not unified where one of the GPUs has', async () => {
    const { folder } = smi(NA_LINE, gpuLine(1, 5));
    expect(await name('auto', { path: folder, meminfo: MEMINFO })).toBe('nvidia-smi');
  });

  test('a driver that comes up late: nvidia-smi is waited for, or NVML where it is alone', async () => {
    const late = { init: async () => failed(9) };
    const { folder, command } = smi();
    const both = await choose('auto', { nvml: late, path: folder });
    expect(both.source.name).toBe('nvidia-smi');
    expect(both.why).toContain(`GPU memory is read by ${command}, which has not answered yet`);
    const alone = await choose('auto', { nvml: late });
    expect(alone.source.name).toBe('nvml');
    expect(alone.why).toContain('the NVIDIA driver is not loaded');
  });

  test('what answers comes before what may do so later', async () => {
    const late = { init: () => new Promise<never>(() => {}) };
    expect(await name('auto', { nvml: late, dcgm: PAGE })).toBe('dcgm');
  });

  test('leaves no child of its tries behind', async () => {
    const fake = smi(gpuLine(0, 1));
    await choose('auto', { path: fake.folder });
    const alive = fake.starts().filter(({ pid }) => isRunning(pid));
    expect({ starts: fake.starts().length, alive }).toEqual({ starts: 1, alive: [] });
  });
});

describe('MIG', () => {
  const why = /can't tell the memory of the MIG instances of GPU 1: --gpu-source nvml can/;

  test.each(['auto', 'nvidia-smi'] as const)('%s: no start by nvidia-smi', async (wanted) => {
    const { folder } = smi(gpuLine(0, 1), MIG_LINE);
    await expect(choose(wanted, { path: folder })).rejects.toMatchObject({
      code: 'gpu_source_unavailable',
      message: expect.stringMatching(why),
    });
  });

  test('a GPU with MIG that does not count is no reason', async () => {
    const { folder } = smi(gpuLine(0, 1), MIG_LINE);
    expect(await name('nvidia-smi', { path: folder, gpuIds: ['0'] })).toBe('nvidia-smi');
    await expect(choose('nvidia-smi', { path: folder, gpuIds: ['GPU-1'] })).rejects.toThrow(why);
  });

  test('NVML reads the instances', async () => {
    const { folder } = smi(MIG_LINE);
    const nvml: Partial<Nvml> = {
      isMigEnabled: async () => ok(true),
      maxMigInstances: async () => ok(1),
      migInstance: async () => ok(7n),
    };
    expect(await name('auto', { path: folder, nvml })).toBe('nvml');
  });

  test('an exporter that tells of them does as well', async () => {
    const { folder } = smi(MIG_LINE);
    const dcgm = dcgmPage([{ gpu: 1, instance: 3, usedMib: 1, freeMib: 2 }]);
    expect(await name('auto', { path: folder, dcgm })).toBe('dcgm');
  });
});

describe('a source by its name', () => {
  test.each(['nvml', 'nvidia-smi', 'dcgm', 'unified', 'simulated', 'none'] as const)(
    '%s is taken as asked',
    async (wanted) => {
      const { folder } = smi(gpuLine(0, 1));
      const machine = { nvml: {}, path: folder, meminfo: MEMINFO, dcgm: PAGE, simulated: true };
      expect(await name(wanted, machine)).toBe(wanted);
    },
  );

  test.each([
    ['nvml', 'NVML is not available: koffi is missing'],
    ['nvidia-smi', 'nvidia-smi is not in PATH'],
    ['unified', 'the values of /proc/meminfo could not be read: ENOENT'],
    ['simulated', 'needs a backend that simulates its GPUs'],
  ] as const)(
    '%s that cannot exist here is a mistake of the configuration',
    async (wanted, why) => {
      await expect(choose(wanted)).rejects.toMatchObject({
        code: 'gpu_source_unavailable',
        message: expect.stringContaining(why),
      });
    },
  );

  test.each(['nvml', 'nvidia-smi', 'dcgm'] as const)(
    '%s that does not answer yet is waited for',
    async (wanted) => {
      const machine = { nvml: { init: async () => failed(9) }, path: smi().folder, dcgm: '' };
      const { source, why } = await choose(wanted, machine);
      expect(source.name).toBe(wanted);
      expect(why).toContain('has not answered yet');
    },
  );
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
