/** The memory of a machine whose GPU has none of its own. */
import { expect, test } from '@jest/globals';
import { UnifiedSource, unifiedReading } from '../../proxy/gpu/unified.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const KIB = 1024;
const MEMINFO = `MemTotal:       125513596 kB
MemFree:         2104836 kB
MemAvailable:   98765432 kB
Buffers:          212340 kB
Cached:         95123456 kB
SwapTotal:             0 kB
HugePages_Total:       0
`;

test('in use is what is not available: caches give way', () => {
  expect(unifiedReading(MEMINFO)).toEqual({
    uuid: 'unified-memory',
    index: 0,
    name: 'unified memory',
    totalBytes: 125_513_596 * KIB,
    usedBytes: (125_513_596 - 98_765_432) * KIB,
    utilizationPercent: null,
    unknownWhy: null,
    processes: null,
  });
});

test('it is known by the GPU that shares it, where that is known', () => {
  expect(unifiedReading(MEMINFO, { uuid: 'GPU-a', index: 2 })).toMatchObject({
    uuid: 'GPU-a',
    index: 2,
    name: 'unified memory',
  });
});

test.each<[string, string, string]>([
  ['no total', MEMINFO.replace('MemTotal', 'Total'), 'it has no MemTotal'],
  ['a kernel before 3.14', MEMINFO.replace('MemAvailable', 'Mem'), 'it has no MemAvailable'],
  ['another unit', MEMINFO.replace('98765432 kB', '98765 MB'), 'it has no MemAvailable'],
  ['a negative value', MEMINFO.replace('98765432', '-5'), 'it has no MemAvailable'],
  ['more available than there is', MEMINFO.replace('98765432', '998765432'), 'is not within'],
  ['nothing at all', '', 'it has no MemTotal'],
])('%s is an error, not a reading', (_what, meminfo, why) => {
  expect(() => unifiedReading(meminfo)).toThrow(why);
});

test('the source reads at the poll interval, and tells of what it could not read', async () => {
  const clock = new VirtualClock();
  let text = MEMINFO;
  const source = new UnifiedSource({ readMeminfo: async () => text, pollIntervalMs: 500, clock });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  await settle();
  text = '';
  clock.advance(500);
  await settle();
  expect(samples).toEqual([[unifiedReading(MEMINFO)]]);
  expect(faults).toEqual(['the values of /proc/meminfo could not be read: it has no MemTotal']);
  await source.stop();
});
