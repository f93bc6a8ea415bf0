import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseLine } from '../../proxy/gpu/nvidia-smi-parser.ts';
import { SmiRounds } from '../../proxy/gpu/smi-rounds.ts';

const MIB = 1024 * 1024;

const UNREADABLE = ['[N/A]', '[Not Supported]', '[Unknown Error]', '[GPU requires reset]'];
const value = fc.oneof(
  fc.nat(200_000).map(String),
  fc.constantFrom(...UNREADABLE, '0', '', '-1', 'nan', '1e3', '0x10', '1,5', '1.5', '٣', ' '),
  fc.string(),
);
const mig = fc.constantFrom('Enabled', 'Disabled', ...UNREADABLE);
const name = fc.oneof(fc.constant('NVIDIA H100 80GB HBM3'), fc.string({ minLength: 1 }));

describe('parseLine', () => {
  test('any text: a sane reading or bounded garbage, and never an exception', () => {
    const bytes = fc.uint8Array({ maxLength: 6000 }).map((raw) => new TextDecoder().decode(raw));
    const row = fc
      .tuple(fc.nat(9), name, value, value, value, mig)
      .map(([index, ...rest]) => [index, `GPU-${index}`, ...rest].join(', '));
    fc.assert(
      fc.property(fc.oneof(bytes, fc.string({ unit: 'binary' }), row), (line) => {
        const parsed = parseLine(line);
        if (parsed.kind === 'garbage') {
          expect(parsed.why.length).toBeLessThanOrEqual(300);
          return;
        }
        const { totalBytes, usedBytes, utilizationPercent, unknownWhy } = parsed.reading;
        expect(unknownWhy === null).toBe(totalBytes !== null && usedBytes !== null);
        if (totalBytes !== null) expect(totalBytes).toBeGreaterThan(0);
        if (usedBytes !== null) {
          expect(usedBytes).toBeGreaterThanOrEqual(0);
          expect(usedBytes).toBeLessThanOrEqual(totalBytes ?? Number.NaN);
        }
        if (utilizationPercent !== null) {
          expect(utilizationPercent).toBeGreaterThanOrEqual(0);
          expect(utilizationPercent).toBeLessThanOrEqual(100);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a value is read only from a plain number, and 0 only from a 0', () => {
    fc.assert(
      fc.property(value, value, (used, utilization) => {
        fc.pre(!used.includes(', ') && !utilization.includes(', '));
        const parsed = parseLine(`0, GPU-0, T4, 300000, ${used}, ${utilization}, Disabled`);
        if (parsed.kind !== 'gpu') throw new Error('the fixed columns are right');
        const plain = (text: string) => (/^[0-9]+$/.test(text) ? Number(text) : null);
        const { usedBytes, utilizationPercent } = parsed.reading;
        if (usedBytes !== null) expect(usedBytes / MIB).toBe(plain(used));
        if (utilizationPercent !== null) expect(utilizationPercent).toBe(plain(utilization));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('SmiRounds', () => {
  test('in any order of lines: no round is empty or holds a GPU twice', () => {
    const line = fc.record({ uuid: fc.constantFrom('a', 'b', 'c', 'd'), index: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(fc.option(line), { maxLength: 60 }), (lines) => {
        const rounds = new SmiRounds();
        for (const gpu of lines) {
          const memory = {
            name: '',
            totalBytes: 1,
            usedBytes: 0,
            unknownWhy: null,
            processes: null,
          };
          const round =
            gpu === null
              ? rounds.quiet()
              : rounds.add({ ...gpu, ...memory, utilizationPercent: null });
          if (round === null) continue;
          expect(round.length).toBeGreaterThan(0);
          expect(new Set(round.map(({ uuid }) => uuid)).size).toBe(round.length);
          expect(new Set(round.map(({ index }) => index)).size).toBe(round.length);
        }
      }),
    );
  });

  test('a steady set of GPUs: from the second round on, each ends with its own last line', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 2, max: 5 }),
        (gpus, times) => {
          const rounds = new SmiRounds();
          for (let time = 1; time <= times; time++) {
            for (let index = 0; index < gpus; index++) {
              const round = rounds.add({
                uuid: `GPU-${index}`,
                index,
                name: '',
                totalBytes: times,
                usedBytes: time,
                utilizationPercent: null,
                unknownWhy: null,
                processes: null,
              });
              const isLast = index === gpus - 1;
              if (time > 1 && isLast) {
                expect(round?.map(({ usedBytes }) => usedBytes)).toEqual(Array(gpus).fill(time));
              } else if (time !== 2 || index !== 0) {
                expect(round).toBeNull();
              }
            }
          }
        },
      ),
    );
  });
});
