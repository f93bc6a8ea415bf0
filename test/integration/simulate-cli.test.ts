/** `kvgate simulate` as it is typed. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { runKvgate } from '../support/run-kvgate.ts';
import { asAzureCsv, syntheticTrace } from '../support/synthetic-trace.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());
const trace = files.write('trace.csv', asAzureCsv(syntheticTrace(60)));
const folder = join(dirname(trace), 'out');
const SMALL = ['--trace', trace, '--kv-tokens', '20000', '--load', '3', '--out', folder];

test('a table for people, and the result and a plot in the folder', async () => {
  const { code, out, err } = await runKvgate(['simulate', ...SMALL]);
  expect([code, err]).toEqual([0, `written: ${folder}/result.json, ${folder}/memory.svg\n`]);
  expect(out).toMatch(/^policy +kvgate, reserve /m);
  expect(out).toMatch(/^load +3 times: [\d.]+ requests\/s; [\d.]+ fill the memory$/m);
  const result = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'));
  expect(result.series.points.length).toBeGreaterThan(0);
  expect(readFileSync(join(folder, 'memory.svg'), 'utf8')).toContain('</svg>');
});

test('as JSON, the same each time', async () => {
  const args = ['simulate', ...SMALL, '--json', '--policy', 'static:4', '--requests', '200'];
  const [first, second] = [await runKvgate(args), await runKvgate(args)];
  expect(first.out).toBe(second.out);
  expect(JSON.parse(first.out)).toMatchObject({
    policy: 'static:4',
    requests: 200,
    goodput: expect.any(Number),
    oom: 0,
    overflow: 0,
    preemptions: 0,
    rejected: expect.any(Number),
    queueWaitMs: { p50: expect.any(Number), p95: expect.any(Number) },
    utilisation: expect.any(Number),
    eventLogHash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

describe('what can not be simulated ends with 2, and all that is wrong is told at once', () => {
  test('a model, a policy and a trace', async () => {
    const wrong = ['--model', 'gpt-oss-21b', '--policy', 'static:no', '--trace', '/nowhere'];
    const { code, out, err } = await runKvgate(['simulate', ...wrong]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('kvgate: 3 problems');
    expect(err).toContain('model (--model): gpt-oss-21b is not one whose engine is modelled');
    expect(err).toContain('did you mean gpt-oss-20b?');
    expect(err).toContain('policy (--policy): static:no is no policy');
    expect(err).toContain("trace (--trace): /nowhere: can't be read");
  });

  const cases: [string, string[], string][] = [
    ['no trace', [], 'trace (--trace): is needed'],
    ['an option misspelt', [...SMALL, '--polcy', 'none'], 'did you mean --policy?'],
    ['a load of nothing', [...SMALL, '--load', '0'], 'load (--load): must be a number from 0.001'],
    ['no memory left', ['--trace', trace, '--gpu-gb', '8'], 'gpt-oss-20b leaves no memory for KV'],
    ['no request that fits', [...SMALL, '--prompt-scale', '1000'], 'not one'],
    ['a folder that is none', [...SMALL, '--out', trace], 'out (--out): '],
  ];
  test.each(cases)('%s', async (_name, args, message) => {
    const { code, out, err } = await runKvgate(['simulate', ...args]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });
});
