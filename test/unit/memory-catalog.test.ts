import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog.ts';

describe('findModel', () => {
  test.each([
    ['openai/gpt-oss-20b', 'gpt-oss-20b'],
    ['gpt-oss-20b-mxfp4.gguf', 'gpt-oss-20b'],
    ['ggml-org/gpt-oss-20b-GGUF:Q8_0', 'gpt-oss-20b'],
    ['gpt-oss:20b', 'gpt-oss-20b'],
    ['GPT_OSS_20B', 'gpt-oss-20b'],
    ['/models/gpt-oss-120b', 'gpt-oss-120b'],
    ['C:\\models\\gpt-oss-120b\\model.gguf', 'gpt-oss-120b'],
    ['/models/gpt-oss-120b/draft/gpt-oss-20b.gguf', 'gpt-oss-20b'],
  ])('%s is %s', (name, id) => {
    expect(findModel(name)?.id).toBe(id);
  });

  test.each([
    '',
    'gpt-oss',
    'gpt-oss-2b',
    'gpt-oss-20',
    'gpt-oss-20bit',
    'gpt-oss-220b',
    'llama-20b',
    'mygpt-oss-20b',
  ])('%p is not guessed', (name) => {
    expect(findModel(name)).toBeNull();
  });

  test('a very long name is answered at once', () => {
    expect(findModel('gpt-oss-'.repeat(20_000))).toBeNull();
  });

  test.each([
    ['gpt-oss-20b', 24, 32],
    ['gpt-oss-120b', 36, 128],
  ])('%s: half of %i layers slide, %i experts', (name, layers, experts) => {
    const spec = findModel(name);
    expect(spec?.groups.map((group) => [group.layers, group.windowTokens])).toEqual([
      [layers / 2, 128],
      [layers / 2, null],
    ]);
    expect(spec?.experts?.total).toBe(experts);
    expect(spec?.headDim).toBe(64);
  });
});
