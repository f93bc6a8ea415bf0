/** The page of a DCGM exporter: framebuffer values are MiB, and a MIG instance counts for itself. */
import { describe, expect, test } from '@jest/globals';
import { dcgmReadings } from '../../proxy/gpu/dcgm-readings.ts';
import { dcgmPage } from '../support/dcgm-page.ts';

const MIB = 2 ** 20;

describe('dcgmReadings', () => {
  test('every value of every GPU, in bytes', () => {
    const page = dcgmPage([
      { gpu: 0, usedMib: 17_000, freeMib: 63_500, reservedMib: 651, util: 37 },
      { gpu: 1, usedMib: 0, freeMib: 80_500, reservedMib: 651, util: 0 },
    ]);
    expect(dcgmReadings(page)).toEqual([
      {
        uuid: 'GPU-0',
        index: 0,
        name: 'NVIDIA H100 80GB HBM3',
        totalBytes: 81_151 * MIB,
        usedBytes: 17_000 * MIB,
        utilizationPercent: 37,
        unknownWhy: null,
        processes: null,
      },
      expect.objectContaining({ uuid: 'GPU-1', usedBytes: 0, utilizationPercent: 0 }),
    ]);
  });

  test('an older exporter tells nothing of what is reserved', () => {
    const [gpu] = dcgmReadings(dcgmPage([{ gpu: 0, usedMib: 100, freeMib: 900 }]));
    expect(gpu).toMatchObject({ totalBytes: 1_000 * MIB, usedBytes: 100 * MIB });
  });

  test('the label of the UUID may be in small letters', () => {
    const page = dcgmPage([{ gpu: 0, usedMib: 1, freeMib: 1 }]).replaceAll('UUID=', 'uuid=');
    expect(dcgmReadings(page)).toMatchObject([{ uuid: 'GPU-0' }]);
  });

  test('MIG instances instead of their GPU, beside one without', () => {
    const page = dcgmPage([
      { gpu: 0, usedMib: 500, freeMib: 80_000 },
      { gpu: 0, instance: 3, usedMib: 100, freeMib: 6_012 },
      { gpu: 0, instance: 4, usedMib: 200, freeMib: 6_012 },
      { gpu: 1, usedMib: 5, freeMib: 5 },
    ]);
    expect(
      dcgmReadings(page).map(({ uuid, index, name, usedBytes }) => [uuid, index, name, usedBytes]),
    ).toEqual([
      ['GPU-0/3', 103, 'NVIDIA H100 80GB HBM3 MIG 1g.6gb', 100 * MIB],
      ['GPU-0/4', 104, 'NVIDIA H100 80GB HBM3 MIG 1g.6gb', 200 * MIB],
      ['GPU-1', 1, 'NVIDIA H100 80GB HBM3', 5 * MIB],
    ]);
  });

  test.each<[string, string]>([
    ['missing', ''],
    ['not a number', 'NaN'],
    ['negative', '-1'],
    ['beyond any GPU', '99999999999'],
  ])('memory that is %s is unknown, and not 0', (_what, used) => {
    const label = 'gpu="0",UUID="GPU-0"';
    const usedLine = used === '' ? '' : `DCGM_FI_DEV_FB_USED{${label}} ${used}\n`;
    const page = `${usedLine}DCGM_FI_DEV_FB_FREE{${label}} 80000\nDCGM_FI_DEV_GPU_UTIL{${label}} 5\n`;
    expect(dcgmReadings(page)).toMatchObject([
      {
        totalBytes: null,
        usedBytes: null,
        utilizationPercent: 5,
        unknownWhy: expect.stringContaining('DCGM_FI_DEV_FB_USED'),
      },
    ]);
  });

  test.each([
    ['an empty page', ''],
    ['the page of something else', '# HELP up x\nup 1\n'],
    ['a GPU without labels', 'DCGM_FI_DEV_FB_USED 5\n'],
    ['a GPU without a number', 'DCGM_FI_DEV_FB_USED{UUID="GPU-0"} 5\n'],
  ])('%s is an error', (_what, page) => {
    expect(() => dcgmReadings(page)).toThrow('its page has no DCGM_FI_DEV_FB_USED of a GPU');
  });
});
