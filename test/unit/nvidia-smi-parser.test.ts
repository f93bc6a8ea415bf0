import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MAX_LINE_CHARS, parseLine, type SmiLine } from '../../proxy/gpu/nvidia-smi-parser.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';

const MIB = 1024 * 1024;

function parseFixture(name: string): readonly SmiLine[] {
  const file = new URL(`../fixtures/nvidia-smi/${name}.csv`, import.meta.url);
  return readFileSync(file, 'utf8').trimEnd().split('\n').map(parseLine);
}

function readingOf(line: SmiLine | undefined): GpuReading {
  if (line?.kind !== 'gpu') throw new Error(`not a GPU: ${JSON.stringify(line)}`);
  return line.reading;
}

describe('readable GPUs', () => {
  test('every column of one GPU', () => {
    expect(parseFixture('one-gpu')).toEqual([
      {
        kind: 'gpu',
        reading: {
          index: 0,
          uuid: 'GPU-4c1c9a5e-8d0b-6f8e-1a57-0e6f7d5a2b31',
          name: 'NVIDIA H100 80GB HBM3',
          totalBytes: 81_559 * MIB,
          usedBytes: 17_424 * MIB,
          utilizationPercent: 37,
          unknownWhy: null,
          processes: null,
        },
      },
    ]);
  });

  test.each([
    { fixture: 'four-gpus', totalMib: 81_920, usedMib: [1000, 1111, 1222, 1333] },
    {
      fixture: 'eight-gpus',
      totalMib: 143_771,
      usedMib: [0, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000],
    },
  ])('$fixture', ({ fixture, totalMib, usedMib }) => {
    const gpus = parseFixture(fixture).map(readingOf);
    expect(gpus.map((gpu) => gpu.index)).toEqual([...usedMib.keys()]);
    expect(gpus.map((gpu) => gpu.usedBytes)).toEqual(usedMib.map((mib) => mib * MIB));
    expect(new Set(gpus.map((gpu) => gpu.totalBytes))).toEqual(new Set([totalMib * MIB]));
    expect(new Set(gpus.map((gpu) => gpu.uuid)).size).toBe(usedMib.length);
  });

  test('a name may contain the separator', () => {
    const line = parseLine('3, GPU-3, ACME, Inc., Model 7, 1000, 10, 0, [N/A]');
    expect(readingOf(line)).toMatchObject({
      name: 'ACME, Inc., Model 7',
      totalBytes: 1000 * MIB,
      usedBytes: 10 * MIB,
    });
  });

  test('a carriage return before the line end is no part of the line', () => {
    expect(readingOf(parseLine('0, GPU-0, T4, 1000, 10, 0, [N/A]\r')).usedBytes).toBe(10 * MIB);
  });
});

describe('unreadable values are null with a reason', () => {
  test.each([
    { fixture: 'mig', at: 0, why: /^MIG is enabled/ },
    { fixture: 'mig', at: 1, why: /^MIG is enabled/ },
    { fixture: 'gb10', at: 0, why: /^the GPU has no memory of its own/ },
    { fixture: 'reset-required', at: 1, why: /^memory\.total is "\[GPU requires reset\]"$/ },
    { fixture: 'unreadable', at: 2, why: /^memory\.used \(15361 MiB\) exceeds memory\.total/ },
    { fixture: 'unreadable', at: 5, why: /^memory\.total is "15360,00"$/ },
    { fixture: 'unreadable', at: 6, why: /^memory\.total is "99999999999"$/ },
    { fixture: 'unreadable', at: 7, why: /^the GPU has no memory of its own/ },
    { fixture: 'unreadable', at: 8, why: /^mig\.mode\.current is "\[Unknown Error\]"$/ },
    { fixture: 'unreadable', at: 9, why: /^memory\.total is "15360 MiB"$/ },
  ])('$fixture.csv, line $at: neither total nor used', ({ fixture, at, why }) => {
    expect(readingOf(parseFixture(fixture)[at])).toMatchObject({
      totalBytes: null,
      usedBytes: null,
      unknownWhy: expect.stringMatching(why),
    });
  });

  test.each([
    { at: 0, totalMib: 15_360, why: 'memory.used is "[Unknown Error]"' },
    { at: 1, totalMib: 2002, why: 'memory.used is "[Not Supported]"' },
    { at: 3, totalMib: 15_360, why: 'memory.used is "-1"' },
    { at: 4, totalMib: 15_360, why: 'memory.used is "nan"' },
  ])('unreadable.csv, line $at: the total stays known', ({ at, totalMib, why }) => {
    expect(readingOf(parseFixture('unreadable')[at])).toMatchObject({
      totalBytes: totalMib * MIB,
      usedBytes: null,
      utilizationPercent: null,
      unknownWhy: why,
    });
  });

  test('the other GPUs of the round stay known', () => {
    expect(readingOf(parseFixture('mig')[2]).usedBytes).toBe(512 * MIB);
    expect(readingOf(parseFixture('reset-required')[0]).usedBytes).toBe(1000 * MIB);
  });

  test.each(['101', '12,5', '[N/A]', ''])('a utilization of "%s" is null', (utilization) => {
    const reading = readingOf(parseLine(`0, GPU-0, T4, 1000, 10, ${utilization}, [N/A]`));
    expect(reading).toMatchObject({ utilizationPercent: null, usedBytes: 10 * MIB });
  });
});

describe('lines that are not about a GPU', () => {
  test('driver errors, headers, other columns and noise, each quoted', () => {
    const lines = parseFixture('garbage');
    expect(lines).toHaveLength(10);
    for (const line of lines) {
      expect(line).toEqual({
        kind: 'garbage',
        why: expect.stringMatching(/^not a line .*: ".+"$/),
      });
    }
    expect(lines[2]).toEqual({
      kind: 'garbage',
      why: 'not a line about a GPU: "Failed to initialize NVML: Driver/library version mismatch"',
    });
  });

  test('a line cut off anywhere, so that no cut number is taken for a whole one', () => {
    const whole = '0, GPU-0, ACME, Inc., Model 7, 81559, 17424, 37, Disabled';
    for (let length = 0; length < whole.length; length++) {
      expect(parseLine(whole.slice(0, length)).kind).toBe('garbage');
    }
    expect(parseLine(whole).kind).toBe('gpu');
  });

  test('a line over the limit, even if it would parse', () => {
    const name = 'x'.repeat(MAX_LINE_CHARS);
    const line = parseLine(`0, GPU-0, ${name}, 81559, 17424, 37, Disabled`);
    expect(line).toMatchObject({ kind: 'garbage' });
  });

  test('the quoted text is bounded and printable', () => {
    const line = parseLine(`\u001b[31m\u0000${'😀'.repeat(500)}`);
    if (line.kind !== 'garbage') throw new Error('parsed');
    expect(line.why.length).toBeLessThanOrEqual(250);
    expect(line.why).not.toMatch(/[\p{Cc}\p{Cs}]/u);
  });
});
