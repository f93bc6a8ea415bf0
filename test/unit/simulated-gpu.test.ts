import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SimulatedGpu } from '../../backend-adapters/simulated-server/simulated-gpu.ts';

const MIB = 1024 ** 2;
const CONTEXT = 600 * MIB;

function usedBytes(gpu: SimulatedGpu): number[] {
  return gpu.states(false).map((state) => state.usedBytes);
}

describe('the simulated GPU', () => {
  test('shows context and weights while idle', () => {
    const gpu = new SimulatedGpu(1, 81_559 * MIB, 13_761_264_768);
    expect(usedBytes(gpu)).toEqual([CONTEXT + 13_761_264_768]);
  });

  test('freed memory stays reserved and is used again before more is taken', () => {
    const gpu = new SimulatedGpu(1, 10_000 * MIB, 0);
    expect(gpu.resize(0, 4000 * MIB)).toBe(true);
    gpu.resize(4000 * MIB, 0);
    expect(gpu.liveBytes).toBe(0);
    expect(usedBytes(gpu)).toEqual([CONTEXT + 4000 * MIB]);
    expect(gpu.resize(0, 3000 * MIB)).toBe(true);
    expect(usedBytes(gpu)).toEqual([CONTEXT + 4000 * MIB]);
  });

  test('fails without a trace when live, fixed and foreign memory leave too little', () => {
    const gpu = new SimulatedGpu(1, 10_000 * MIB, 2000 * MIB);
    gpu.setForeignBytes(1000 * MIB);
    expect(gpu.resize(0, 6401 * MIB)).toBe(false);
    expect(gpu.liveBytes).toBe(0);
    expect(gpu.resize(0, 6400 * MIB)).toBe(true);
    expect(usedBytes(gpu)).toEqual([10_000 * MIB]);
  });

  test('gives reserved but free memory back when another process takes the room', () => {
    const gpu = new SimulatedGpu(1, 10_000 * MIB, 0);
    gpu.resize(0, 9000 * MIB);
    gpu.resize(9000 * MIB, 1000 * MIB);
    gpu.setForeignBytes(5000 * MIB);
    expect(usedBytes(gpu)).toEqual([10_000 * MIB]);
    gpu.setForeignBytes(0);
    expect(usedBytes(gpu)).toEqual([CONTEXT + 4400 * MIB]);
    expect(gpu.peakUsedBytes).toBe(10_000 * MIB);
  });

  test('four GPUs share equally and the fullest one decides', () => {
    const gpu = new SimulatedGpu(4, 10_000 * MIB, 8000 * MIB);
    expect(usedBytes(gpu)).toEqual(Array(4).fill(CONTEXT + 2000 * MIB));
    gpu.setForeignBytes(3400 * MIB, 2);
    expect(gpu.resize(0, 4 * 4000 * MIB)).toBe(true);
    expect(gpu.resize(0, 4)).toBe(false);
    expect(usedBytes(gpu)[2]).toBe(10_000 * MIB);
  });

  test('refuses weights that do not fit, and GPUs that do not exist', () => {
    expect(() => new SimulatedGpu(1, 1000 * MIB, 500 * MIB)).toThrow(RangeError);
    const gpu = new SimulatedGpu(1, 1000 * MIB, 0);
    expect(() => gpu.setForeignBytes(1, 1)).toThrow(RangeError);
    expect(() => gpu.setForeignBytes(-1)).toThrow(RangeError);
  });

  test('whatever is allocated and freed, nothing leaks and used never passes the total', () => {
    const total = 2000 * MIB;
    const sizes = fc.array(fc.integer({ min: 0, max: 900 * MIB }), { maxLength: 40 });
    fc.assert(
      fc.property(sizes, fc.constantFrom(1, 3, 4), (targets, gpuCount) => {
        const gpu = new SimulatedGpu(gpuCount, total, 0);
        const held = [0, 0, 0];
        for (const [step, target] of targets.entries()) {
          const index = step % held.length;
          if (gpu.resize(held[index] ?? 0, target)) held[index] = target;
          expect(Math.max(...usedBytes(gpu))).toBeLessThanOrEqual(total);
        }
        for (const bytes of held) gpu.resize(bytes, 0);
        expect(gpu.liveBytes).toBe(0);
      }),
    );
  });
});
