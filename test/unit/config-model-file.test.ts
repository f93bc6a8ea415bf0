/** The file that --model-config names: told apart by what it holds, read as far as needed. */
import { spawn } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from '@jest/globals';
import { readModelFile } from '../../proxy/config/read-model-file.ts';
import { specFromModelFile } from '../../proxy/memory/models/model-file.ts';
import type { GgufValue } from '../support/gguf-encoder.ts';
import { ggufBytes } from '../support/gguf-header.ts';
import { specOfTiny, tinyModelFile } from '../support/llamacpp-shapes.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { tinyGguf } from '../support/tiny-gguf.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const GIB = 2 ** 30;
const number = (value: number): GgufValue => ({ type: 'uint32', value });
const LLAMA = {
  'general.architecture': { type: 'string', value: 'llama' } as const,
  'llama.block_count': number(32),
  'llama.context_length': number(131_072),
  'llama.embedding_length': number(4096),
  'llama.feed_forward_length': number(14_336),
  'llama.attention.head_count': number(32),
  'llama.attention.head_count_kv': number(8),
  'llama.vocab_size': number(128_256),
};

function write(name: string, bytes: Uint8Array): string {
  const path = files.write(name, '');
  writeFileSync(path, bytes);
  return path;
}

function specOf(path: string) {
  const file = readModelFile(path);
  if (!file.ok) throw new Error(file.why);
  return specFromModelFile(file.value);
}

test('a GGUF file under any name, with its tensors', () => {
  for (const name of ['model.gguf', 'model.json', 'sha256-0123']) {
    expect(specOf(write(name, tinyGguf()))).toMatchObject({
      ok: true,
      spec: { id: 'tiny-gpt-oss', source: expect.stringContaining(name) },
    });
  }
});

/** What a real llama-server allocates for these models, to the byte, is checked in test/real. */
test.each(['gpt-oss', 'llama', 'qwen35'] as const)('a tiny %s reads as it was made', (model) => {
  const { groups, states, hiddenSize, queryHeads, headDim, intermediateSize } = specOfTiny(model);
  expect(specOf(tinyModelFile(model))).toMatchObject({
    ok: true,
    spec: { groups, states, hiddenSize, queryHeads, headDim, intermediateSize },
  });
});

test('of 60 GB the header alone is read', () => {
  const path = write('large.gguf', ggufBytes(LLAMA));
  truncateSync(path, 60 * GIB);
  const before = process.memoryUsage().rss;
  const started = performance.now();
  expect(specOf(path)).toMatchObject({ ok: true, spec: { groups: [{ layers: 32 }] } });
  expect(performance.now() - started).toBeLessThan(2_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(GIB / 4);
});

test('a header of 60 GB of zeroes is not read to its end', () => {
  const path = write('zeroes.gguf', Buffer.from('GGUF\u0003'));
  truncateSync(path, 60 * GIB);
  expect(readModelFile(path)).toMatchObject({ ok: true });
  expect(specOf(path)).toMatchObject({ ok: false, field: 'general.architecture' });
});

test('a config.json under the name of a GGUF file', () => {
  const config = { model_type: 'llama', num_hidden_layers: 0 };
  const path = files.write('model.gguf', JSON.stringify(config));
  expect(readModelFile(path)).toEqual({ ok: true, value: { kind: 'config', path, json: config } });
  expect(specOf(path)).toMatchObject({ ok: false, field: 'num_hidden_layers' });
});

test('from a pipe', async () => {
  const pipe = files.write('pipe', '');
  await new Promise((resolve) =>
    spawn('sh', ['-c', `rm ${pipe}; mkfifo ${pipe}`]).once('close', resolve),
  );
  const source = write('source.gguf', ggufBytes(LLAMA));
  spawn('sh', ['-c', `cat ${source} > ${pipe}`]);
  expect(specOf(pipe)).toMatchObject({ ok: true });
});

test('the parts of a split file: the first one tells all, another one where that is', () => {
  const split = (part: number) => ({
    'split.no': { type: 'uint16', value: part } as const,
    'split.count': { type: 'uint16', value: 2 } as const,
  });
  const first = write('m-00001-of-00002.gguf', ggufBytes({ ...LLAMA, ...split(0) }));
  expect(specOf(first)).toMatchObject({ ok: true });
  expect(specOf(write('m-00002-of-00002.gguf', ggufBytes(split(1))))).toMatchObject({
    ok: false,
    field: 'split.no',
    problem: expect.stringContaining('-00001-of-00002.gguf'),
  });
});

test.each([
  ['a header that is cut off', ggufBytes(LLAMA).slice(0, 100), /^llama\.block_count is cut off/],
  ['a text that is no JSON', Buffer.from('GGML'), /neither JSON nor GGUF/],
  ['5 MiB that are no GGUF', Buffer.alloc(5 * 2 ** 20), /no GGUF file, and larger than 4096 KiB/],
])('%s is a problem', (_, bytes, why) => {
  expect(readModelFile(write('bad', bytes))).toEqual({
    ok: false,
    why: expect.stringMatching(why),
  });
});
