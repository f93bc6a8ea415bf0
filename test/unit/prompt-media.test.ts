import { describe, expect, test } from '@jest/globals';
import { knownMedia } from '../../backend-adapters/media.ts';
import type { OpenAiDialect } from '../../backend-adapters/openai-dialect.ts';
import {
  chatPrompt,
  completionPrompt,
  conversationPrompt,
} from '../../backend-adapters/openai-prompt.ts';
import { parseRanking } from '../../backend-adapters/pooling-request.ts';
import { RequestFields } from '../../backend-adapters/request-fields.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import {
  type MediaBounds,
  NO_MEDIA,
  UNKNOWN_MEDIA,
} from '../../proxy/memory/models/media-bounds.ts';
import { NO_HINTS } from '../support/engines-under-test.ts';
import { ANY_FACTS, CHAT, COMPLETION, scannedRequest } from '../support/scanned-request.ts';

const TEXT = { type: 'text', text: 'What is it?' };
const IMAGE = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(1e6)}` } };
const RECORDING = { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } };
const VIDEO = { type: 'video_url', video_url: { url: 'https://example.com/v.mp4' } };
const FILE = { type: 'file', file: { file_id: 'file-1' } };
const EMBEDDINGS = { type: 'image_embeds', image_embeds: 'AAAA' };

/** Tokens of a part and of what is written around it. */
const FRAME = 16;

function chatOf(parts: readonly object[], media: MediaBounds, more: object = {}) {
  const body = { ...more, messages: [{ role: 'user', content: parts }] };
  const fields = new RequestFields(scannedRequest(CHAT, body));
  const { promptTokens } = chatPrompt(fields, { ...ANY_FACTS, media });
  return { ...promptTokens, problem: fields.problem };
}

describe('a chat with media', () => {
  const bounds = { image: 1000, audio: 300, video: null, file: 'none' } as const;

  test('an image counts by its bound, however many bytes it has', () => {
    const small = { type: 'image_url', image_url: { url: 'x' } };
    const one = chatOf([TEXT, IMAGE], bounds);
    expect(one.problem).toBeNull();
    expect(one.hi).toBe(chatOf([TEXT, small], bounds).hi);
    expect(one.hi - chatOf([TEXT], bounds).hi).toBeGreaterThanOrEqual(1000 + FRAME);
    expect(one.hi).toBeLessThan(1500);
    expect(one.source).toBe('media');
    expect(one.lo).toBe(1);
    expect(one.expected).toBeGreaterThan(1000);
  });

  test('each part counts by the bound of its kind', () => {
    const sum = (parts: readonly object[]) => {
      const bare = { image: 0, audio: 0, video: 0, file: 0 };
      return chatOf(parts, bounds).hi - chatOf(parts, bare).hi;
    };
    expect(sum([IMAGE, IMAGE])).toBe(2000);
    expect(sum([IMAGE, TEXT, RECORDING])).toBe(1300);
  });

  test('slashes that are escaped do not count', () => {
    const url = `data:image/jpeg;base64,${'/9j/'.repeat(1000)}`;
    const image = { type: 'image_url', image_url: { url } };
    const body = JSON.stringify({ messages: [{ role: 'user', content: [image] }] });
    const escaped = scannedRequest(CHAT, body.replaceAll('/', '\\/'));
    const { promptTokens } = chatPrompt(new RequestFields(escaped), {
      ...ANY_FACTS,
      media: bounds,
    });
    expect(promptTokens.hi).toBe(chatOf([image], bounds).hi);
  });

  test('without media nothing changes', () => {
    expect(chatOf([TEXT], NO_MEDIA)).toEqual(chatOf([TEXT], bounds));
  });
});

describe('is refused by the field that holds it', () => {
  test.each<[string, readonly object[], Partial<MediaBounds>, RegExp]>([
    [
      'images of unknown size',
      [IMAGE, IMAGE],
      {},
      /^messages holds 2 images, and how many tokens the model takes for one is not known: the operator can tell with --image-tokens$/,
    ],
    ['one image of unknown size', [IMAGE], {}, /^messages holds an image, and how many/],
    ['a recording of unknown length', [RECORDING], { image: 1 }, /a recording,.* --audio-tokens$/],
    ['a video', [VIDEO], { image: 1 }, /^messages holds a video, and .* is not known$/],
    ['a file', [FILE], {}, /^messages holds a file, and .* is not known$/],
    ['an image for a model of text', [IMAGE], NO_MEDIA, /^messages holds an image, but .* none$/],
    ['a recording for eyes', [RECORDING], { image: 1, audio: 'none' }, /but the model takes none$/],
    ['embeddings', [EMBEDDINGS], { image: 1, audio: 1, video: 1, file: 1 }, /holds embeddings/],
  ])('%s', (_, parts, bounds, words) => {
    expect(chatOf(parts, { ...UNKNOWN_MEDIA, ...bounds }).problem).toEqual({
      invalid: expect.stringMatching(words),
      param: 'messages',
    });
  });

  test('what would change the size of an image beside one', () => {
    const more = { mm_processor_kwargs: { max_pixels: 1e9 } };
    const bounds = { ...NO_MEDIA, image: 1000 };
    expect(chatOf([IMAGE], bounds, more).problem).toMatchObject({ param: 'mm_processor_kwargs' });
    expect(chatOf([TEXT], bounds, more).problem).toBeNull();
  });

  test('an image in what a template prints beside the messages', () => {
    const documents = [{ content: [IMAGE] }];
    expect(chatOf([TEXT], UNKNOWN_MEDIA, { documents }).problem).toMatchObject({
      param: 'documents',
    });
  });
});

test('a list of images beside a text counts by its length alone', () => {
  const fields = new RequestFields(
    scannedRequest(CHAT, { prompt: 'What is it?', images: ['A'.repeat(1e6), 'B'] }),
  );
  const prompt = fields.member('prompt');
  const parts = { talk: prompt === null ? [] : [prompt], besides: ['images'], textIsSure: true };
  const media = { ...NO_MEDIA, image: 1000 };
  const { promptTokens } = conversationPrompt(fields, parts, { ...ANY_FACTS, media });
  expect(promptTokens.hi).toBeGreaterThan(2000);
  expect(promptTokens.hi).toBeLessThan(2500);
});

describe('pairs with media', () => {
  const seen = { content: [IMAGE] };
  const pairsOf = (documents: readonly unknown[], media: MediaBounds) => {
    const request = scannedRequest(CHAT, { query: seen, documents });
    const dialect = { refusedFields: new Map() } as unknown as OpenAiDialect;
    return parseRanking(
      request,
      dialect,
      { sides: [['query', 'documents']] },
      { ...ANY_FACTS, media },
    );
  };

  test('what is compared with several is seen once for each', () => {
    const hi = (image: number) => {
      const shape = pairsOf(['a', 'b', seen], { ...NO_MEDIA, image });
      return 'invalid' in shape ? shape.invalid : shape.promptTokens.hi;
    };
    expect(Number(hi(1000)) - Number(hi(0))).toBe(4000);
    expect(hi(0)).toBeLessThan(2000);
  });

  test('are refused where the model sees nothing', () => {
    expect(pairsOf(['a'], NO_MEDIA)).toMatchObject({ param: 'query' });
  });
});

describe('llama.cpp’s prompts with media', () => {
  const DATA = 'A'.repeat(1e5);
  const promptOf = (prompt: unknown, media: MediaBounds, accepted: 'mixed' | 'lists' = 'mixed') => {
    const fields = new RequestFields(scannedRequest(COMPLETION, { prompt }));
    return { ...completionPrompt(fields, accepted, 'prompt', media), problem: fields.problem };
  };
  const seen = { prompt_string: 'see <__media__>', multimodal_data: [DATA] };

  test('count by the larger bound of what their media may be', () => {
    const bounds = { ...NO_MEDIA, image: 1000, audio: 300 };
    const { promptTokens, prompts, problem } = promptOf(seen, bounds);
    expect(problem).toBeNull();
    expect(prompts).toBe(1);
    expect(promptTokens.hi).toBe('see <__media__>'.length + 2 + 1000 + FRAME);
    expect(promptOf([seen, 'text', [1, 2, 3]], bounds)).toMatchObject({
      prompts: 3,
      problem: null,
    });
    expect(promptOf(seen, { ...NO_MEDIA, audio: 300 }).promptTokens.hi).toBeLessThan(400);
  });

  test.each<[string, unknown, MediaBounds, 'mixed' | 'lists']>([
    ['recordings may be longer', seen, { ...NO_MEDIA, image: 1000, audio: null }, 'mixed'],
    ['the model takes text only', seen, NO_MEDIA, 'mixed'],
    ['numbers stand beside them', [seen, 1], { ...NO_MEDIA, image: 1 }, 'mixed'],
    ['the engine does not know them', seen, { ...NO_MEDIA, image: 1 }, 'lists'],
    ['the engine does not know lists of them', [seen], { ...NO_MEDIA, image: 1 }, 'lists'],
  ])('are refused where %s', (_, prompt, bounds, accepted) => {
    expect(promptOf(prompt, bounds, accepted).problem).toMatchObject({ param: 'prompt' });
  });
});

test('bounds are the operator’s, else the model’s, else unknown', () => {
  const spec = findModel('gpt-oss-20b');
  expect(knownMedia(null, NO_HINTS)).toEqual(UNKNOWN_MEDIA);
  expect(knownMedia(spec, NO_HINTS)).toEqual(NO_MEDIA);
  expect(knownMedia(spec, { ...NO_HINTS, imageTokens: 5 }).image).toBe(5);
});
