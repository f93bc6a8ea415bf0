import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { chooseGpuSource } from '../../proxy/gpu/choose.ts';
import { type FakeNvidiaSmi, installFakeNvidiaSmi } from '../support/fake-nvidia-smi.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const NOWHERE = join(tmpdir(), 'kvgate-no-such-folder');
const readSimulated = async () => ({ gpus: [] });

let fake: FakeNvidiaSmi;
beforeEach(() => {
  fake = installFakeNvidiaSmi([{ stdout: [], atEnd: 'hang' }]);
});
afterEach(() => fake.remove());

function depsWith(searchPath: string, reader?: typeof readSimulated) {
  const simulated = reader === undefined ? {} : { readSimulated: reader };
  return { pollIntervalMs: 500, clock: new VirtualClock(), searchPath, ...simulated };
}

test('auto: nvidia-smi where it is installed, found in a later folder of PATH', async () => {
  const searchPath = [NOWHERE, '', fake.folder].join(delimiter);
  const { source, why } = await chooseGpuSource('auto', depsWith(searchPath));
  expect(source.name).toBe('nvidia-smi');
  expect(why).toBe(`GPU memory is read by ${fake.command}.`);
});

test('auto: a simulated server does not use the GPUs of this machine', async () => {
  const { source, why } = await chooseGpuSource('auto', depsWith(fake.folder, readSimulated));
  expect(source.name).toBe('simulated');
  expect(why).toBe('GPU memory is read from the simulated server.');
});

test('auto: none where there is nothing to read', async () => {
  const { source, why } = await chooseGpuSource('auto', depsWith(NOWHERE));
  expect(source.name).toBe('none');
  expect(why).toBe('GPU memory is not read: nvidia-smi is not in PATH.');
});

test.each(['nvidia-smi', 'simulated', 'none'] as const)('%s is taken as asked', async (wanted) => {
  const { source } = await chooseGpuSource(wanted, depsWith(fake.folder, readSimulated));
  expect(source.name).toBe(wanted);
});

test('simulated without a server that simulates GPUs is a mistake of the configuration', async () => {
  await expect(chooseGpuSource('simulated', depsWith(fake.folder))).rejects.toMatchObject({
    code: 'gpu_source_unavailable',
  });
});

test('choosing starts nothing', async () => {
  await chooseGpuSource('auto', depsWith(fake.folder));
  expect(fake.starts()).toEqual([]);
});
