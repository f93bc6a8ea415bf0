/** `kvgate estimate` as it is typed. */
import { statSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { runKvgate } from '../support/run-kvgate.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { writeTinyGguf } from '../support/tiny-gguf.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const SIZE = ['--prompt-tokens', '8000', '--max-tokens', '2000'];

async function estimateJson(...args: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await runKvgate(['estimate', ...args, '--json']);
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as Record<string, unknown>;
}

test('a table of every part with its formula and its source, the plain formula, and how many fit', async () => {
  const { code, out } = await runKvgate(['estimate', '--model', 'gpt-oss-20b', ...SIZE]);
  expect(code).toBe(0);
  expect(out).toMatch(
    /keep every token +234\.38 MiB +245,760,000 B\n +1 x 625 blocks of 16 tokens x 393,216 B\n +vLLM: /,
  );
  expect(out).toMatch(/naive +468\.75 MiB/);
  expect(out).toMatch(/^237 such at a time fit on a GPU of 81,920 MiB$/m);
});

test('as JSON', async () => {
  const result = await estimateJson('--model', 'gpt-oss-20b', '--engine', 'transformers', ...SIZE);
  expect(result).toMatchObject({
    model: 'gpt-oss-20b',
    engine: 'transformers',
    maxTokens: 2000,
    kvBytes: 24_576 * (10_000 + 128),
    naiveBytes: 49_152 * 10_000,
    perGpu: { gpus: 1, kvBytes: 24_576 * (10_000 + 128) },
  });
  expect(result.prefillPeakBytes).toBeGreaterThan(25e9);
});

test('heads over four GPUs, in half the bytes', async () => {
  const four = ['--gpus', '4', '--kv-dtype', 'fp8'];
  const result = await estimateJson('--model', 'gpt-oss-20b', ...SIZE, ...four);
  const kvBytes = (634 * 393_216) / 2;
  expect(result).toMatchObject({ kvBytes, perGpu: { gpus: 4, kvBytes: kvBytes / 4 } });
});

test('a request in a file: its prompt is counted, its own limit holds', async () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const body = files.write('body.json', JSON.stringify({ messages, max_tokens: 300 }));
  const result = await estimateJson('--model', 'gpt-oss-20b', '--body', body);
  // The smallest chat there is, in the chat template of gpt-oss.
  expect(result).toMatchObject({
    promptTokens: { lo: 68, hi: 68, source: 'tokenizer' },
    maxTokens: 300,
  });
});

test('the longest of several prompts, as much of them all as it may have', async () => {
  const prompt = [
    [1, 2, 3, 4],
    [5, 6],
  ];
  const body = files.write('prompts.json', JSON.stringify({ prompt, max_tokens: 16, n: 2 }));
  expect(await estimateJson('--model', 'gpt-oss-20b', '--body', body)).toMatchObject({
    promptTokens: { lo: 3, hi: 5 },
    prompts: 2,
    sequences: 4,
  });
});

test('a system prompt beside the messages is counted', async () => {
  const system = 'You answer in verse. '.repeat(200);
  const request = { system, messages: [{ role: 'user', content: 'hi' }], max_tokens: 100 };
  const body = files.write('messages.json', JSON.stringify(request));
  const { promptTokens } = await estimateJson('--model', 'gpt-oss-20b', '--body', body);
  expect((promptTokens as { lo: number }).lo).toBeGreaterThan(1000);
});

test('a block of vLLM is long enough for a state, and is not as many times as large', async () => {
  const result = await estimateJson('--model', 'qwen3-next-80b-a3b', ...SIZE);
  // 10 blocks of 1056 tokens, and 3 of states in each of 3 groups.
  expect(result).toMatchObject({ kvBytes: (10 + 3 * 3) * 12 * 1056 * 2048 });
});

test('latent attention with an indexer, in 8 bits, has scales beside it', async () => {
  const fp8 = ['--engine', 'sglang', '--kv-dtype', 'fp8'];
  const result = await estimateJson('--model', 'deepseek-v3.2', ...SIZE, ...fp8);
  expect(result).toMatchObject({ kvBytes: 61 * (656 + 132) * 10_000 });
});

test('SGLang keeps every token of sliding layers that have no pool of their own', async () => {
  const result = await estimateJson('--model', 'gemma-3-27b', '--engine', 'sglang', ...SIZE);
  expect(result.kvBytes).toBe(result.naiveBytes);
});

test('of a GGUF file in parts the weights are those of all, or not known', async () => {
  const first = files.write('tiny-00001-of-00002.gguf', '');
  writeTinyGguf(first, { parts: 2 });
  const weights = async () => (await estimateJson('--gguf', first, ...SIZE)).fits;
  expect(await weights()).toMatchObject({ weightBytes: null, sequences: null });
  files.write('tiny-00002-of-00002.gguf', 'x'.repeat(1000));
  expect(await weights()).toMatchObject({ weightBytes: statSync(first).size + 1000 });
});

test('a GGUF file tells its geometry and its weights', async () => {
  const path = files.write('tiny.gguf', '');
  writeTinyGguf(path);
  const result = await estimateJson('--gguf', path, '--engine', 'llamacpp', ...SIZE);
  // 2 layers of each kind, 2 heads of 32 in f16; contexts in steps of 256.
  expect(result).toMatchObject({ kvBytes: 2 * 256 * (10_240 + 768) });
  expect(result.fits).toMatchObject({ weightBytes: expect.any(Number) });
});

describe('what can not be estimated ends with 2 and names the option', () => {
  const model = ['--model', 'gpt-oss-20b'];
  const cases: [string, string[], string][] = [
    ['no model', SIZE, 'model (--model): is needed'],
    ['an unknown model', ['--model', 'gtp', ...SIZE], 'model (--model): gtp is not known'],
    ['two models', [...model, '--gguf', 'x.gguf', ...SIZE], "gguf (--gguf): can't be given beside"],
    ['no size', model, 'prompt-tokens (--prompt-tokens): is needed'],
    ['no output', [...model, '--prompt-tokens', '5'], 'max-tokens (--max-tokens): is needed'],
    [
      'more than the context',
      [...model, '--prompt-tokens', '131072', '--max-tokens', '1'],
      '131,072',
    ],
    ['a number that is none', [...model, '--prompt-tokens', '1e'], 'must be a whole number'],
    ['an unknown option', [...model, ...SIZE, '--gpu', '4'], 'did you mean --gpus?'],
    [
      'a cache that shares nothing',
      [...model, ...SIZE, '--engine', 'ollama', '--cached-tokens', '9'],
      'cached-tokens (--cached-tokens): is nothing to ollama',
    ],
    [
      'a type that the engine has not',
      [...model, ...SIZE, '--kv-dtype', 'q8_0'],
      'kv-dtype (--kv-dtype): q8_0 is no type that vllm keeps KV in: bf16, f16, f32, fp8',
    ],
    [
      'heads that can not be shared out',
      [...model, ...SIZE, '--gpus', '3'],
      "gpus (--gpus): vllm can't split the 64 heads of gpt-oss-20b (8 of KV) over 3 GPUs",
    ],
    ['a file that is not there', ['--gguf', '/nowhere', ...SIZE], "/nowhere can't be read"],
    ['a body that is not there', [...model, '--body', '/nowhere'], "body (--body): /nowhere can't"],
  ];
  test.each(cases)('%s', async (_name, args, message) => {
    const { code, out, err } = await runKvgate(['estimate', ...args]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });

  test('a body that is no request', async () => {
    const broken = files.write('broken.json', '{"messages": [');
    const empty = files.write('empty.json', '{}');
    for (const [path, message] of [
      [broken, 'broken.json: '],
      [empty, 'has no messages, input or prompt'],
    ] as const) {
      const { code, err } = await runKvgate(['estimate', ...model, '--body', path]);
      expect(code).toBe(2);
      expect(err).toContain(message);
    }
  });

  test('a config.json of an architecture that is not known, by its field', async () => {
    const config = files.write('config.json', '{"model_type":"odd","hidden_size":64}');
    const { code, err } = await runKvgate(['estimate', '--model-config', config, ...SIZE]);
    expect(code).toBe(2);
    expect(err).toContain('config.json: num_hidden_layers: is missing');
  });
});
