/** Traces of both formats, as they are written and as they are broken. */
import { afterAll, describe, expect, test } from '@jest/globals';
import { readTrace } from '../../proxy/simulate/traces/read-trace.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens';
let written = 0;

function traceFile(...lines: readonly string[]): string {
  written += 1;
  return files.write(`trace-${written}`, lines.join('\n'));
}

async function rowsOf(path: string, most?: number) {
  const { atMs, promptTokens, outputTokens } = await readTrace(path, most);
  return [[...atMs], [...promptTokens], [...outputTokens]];
}

test('an Azure CSV: seven digits of a second, and an end of lines as on Windows', async () => {
  const path = traceFile(
    HEADER,
    '2023-11-16 18:15:46.6805900,374,44\r',
    '2023-11-16 18:15:50.9951690,396,109\r',
    '',
  );
  const [times, ...lengths] = await rowsOf(path);
  expect(times?.[1]).toBeCloseTo(4_314.579, 3);
  expect(lengths).toEqual([
    [374, 396],
    [44, 109],
  ]);
});

test('columns in another order, further ones, and times with an offset', async () => {
  const path = traceFile(
    'GeneratedTokens,TIMESTAMP,Model,ContextTokens',
    '7,2024-05-10 00:00:00.009930+00:00,a,5',
    '8,2024-05-10 00:00:01.009930+00:00,b,6',
  );
  expect(await rowsOf(path)).toEqual([
    [0, 1_000],
    [5, 6],
    [7, 8],
  ]);
});

test('a Mooncake JSONL; what came out of order is sorted, and nothing is of no tokens', async () => {
  const path = traceFile(
    '{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}',
    '{"timestamp": 1000, "input_length": 0, "output_length": 0, "hash_ids": []}',
  );
  expect(await rowsOf(path)).toEqual([
    [0, 2_000],
    [1, 6_758],
    [1, 500],
  ]);
});

test('no more is read than is wanted', async () => {
  const path = traceFile(HEADER, '2023-11-16 18:15:46.0,1,1', 'no row at all');
  expect(await rowsOf(path, 1)).toEqual([[0], [1], [1]]);
});

describe('what can not be read is told by line and field', () => {
  const row = '2023-11-16 18:15:46.6805900,374,44';
  const mooncake = '{"timestamp": 0, "input_length": 1, "output_length": 1}';
  const cases: [string, string[], RegExp][] = [
    ['nothing', [''], /^has no requests$/],
    ['a header alone', [HEADER], /^has no requests$/],
    ['another format', ['a b c'], /^line 1: is neither the header TIMESTAMP/],
    ['a header without a column', ['TIMESTAMP,ContextTokens'], /no column GeneratedTokens/],
    ['a time that is none', [HEADER, row, 'noon,1,2'], /^line 3: TIMESTAMP is "noon"/],
    ['a cell that is missing', [HEADER, '2023-11-16 18:15:46.6,374'], /^line 2: GeneratedTokens/],
    ['a count below 0', [HEADER, '2023-11-16 18:15:46.6,-1,4'], /^line 2: ContextTokens is "-1"/],
    ['a count beyond reason', [HEADER, '2023-11-16 18:15:46.6,999999999,4'], /^line 2: Context/],
    ['half a token', [mooncake, mooncake.replace('th": 1,', 'th": 1.5,')], /^line 2: input_length/],
    ['a line that is no JSON', [mooncake, '{"timestamp": 0'], /^line 2: is no JSON object$/],
    ['a time that is text', [mooncake.replace('0', '"0"')], /^line 1: timestamp is "0"/],
    ['a line without an end', [HEADER, 'x'.repeat(2 ** 20 + 1)], /^line 2: is too long$/],
  ];
  test.each(cases)('%s', async (_name, lines, message) => {
    await expect(readTrace(traceFile(...lines))).rejects.toThrow(message);
  });

  test('a file that is not there', async () => {
    await expect(readTrace('/nowhere')).rejects.toThrow(/can't be read: .*ENOENT/);
  });
});
