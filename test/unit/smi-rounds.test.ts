import { describe, expect, test } from '@jest/globals';
import { SmiRounds } from '../../proxy/gpu/smi-rounds.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';

/** `A0` is the GPU with uuid A at index 0. */
function gpu(label: string): GpuReading {
  return {
    uuid: label.slice(0, 1),
    index: Number(label.slice(1)),
    name: 'T4',
    totalBytes: 1000,
    usedBytes: 0,
    utilizationPercent: null,
    unknownWhy: null,
    processes: null,
  };
}

/** Feeds lines, where `.` is a quiet moment, and notes the completed rounds behind the line that did it. */
function trace(lines: string): string {
  const rounds = new SmiRounds();
  const seen: string[] = [];
  for (const line of lines.split(' ')) {
    const round = line === '.' ? rounds.quiet() : rounds.add(gpu(line));
    seen.push(line);
    if (round !== null) seen.push(`[${round.map(({ uuid, index }) => uuid + index).join(' ')}]`);
  }
  return seen.join(' ');
}

describe('rounds', () => {
  test.each([
    ['the first ends with a quiet moment', 'A0 B1 .', 'A0 B1 . [A0 B1]'],
    ['the first ends where the second begins', 'A0 B1 A0', 'A0 B1 A0 [A0 B1]'],
    [
      'the next end with their last line',
      'A0 B1 . A0 B1 A0 B1',
      'A0 B1 . [A0 B1] A0 B1 [A0 B1] A0 B1 [A0 B1]',
    ],
    ['one GPU: every line is a round', 'A0 . A0 A0', 'A0 . [A0] A0 [A0] A0 [A0]'],
    ['one GPU without a quiet moment: no line waits', 'A0 A0 A0', 'A0 A0 [A0] A0 [A0]'],
    ['a quiet moment before any line says nothing', '. A0', '. A0'],
    ['a slow GPU is not a lost one', 'A0 B1 . A0 . B1', 'A0 B1 . [A0 B1] A0 . B1 [A0 B1]'],
    ['the last GPU vanishes', 'A0 B1 . A0 A0 A0', 'A0 B1 . [A0 B1] A0 A0 [A0] A0 [A0]'],
    [
      'the first GPU vanishes',
      'A0 B1 C2 . B1 C2 B1 C2',
      'A0 B1 C2 . [A0 B1 C2] B1 C2 B1 [B1 C2] C2 [B1 C2]',
    ],
    [
      'a new GPU at the end',
      'A0 B1 . A0 B1 C2 A0 B1 C2',
      'A0 B1 . [A0 B1] A0 B1 [A0 B1] C2 [A0 B1 C2] A0 B1 C2 [A0 B1 C2]',
    ],
    [
      'a new GPU in between',
      'A0 B2 . A0 C1 B2 A0 C1 B2',
      'A0 B2 . [A0 B2] A0 C1 B2 [A0 C1 B2] A0 C1 B2 [A0 C1 B2]',
    ],
    [
      'a first round taken to be over too soon is completed',
      'A0 . B1 A0 B1',
      'A0 . [A0] B1 [A0 B1] A0 B1 [A0 B1]',
    ],
    [
      'the same GPUs with other indexes',
      'A0 B1 . B0 A1 B0 A1',
      'A0 B1 . [A0 B1] B0 A1 [B0 A1] B0 A1 [B0 A1]',
    ],
    [
      'a GPU is replaced by another at its index',
      'A0 B1 . C0 B1 C0 B1',
      'A0 B1 . [A0 B1] C0 B1 C0 [C0 B1] B1 [C0 B1]',
    ],
  ])('%s', (_, lines, expected) => {
    expect(trace(lines)).toBe(expected);
  });
});
