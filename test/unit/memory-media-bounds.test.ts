import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import {
  type MediaBound,
  mediaBoundsFromConfig,
  NO_MEDIA,
  UNKNOWN_MEDIA,
  withToldTokens,
} from '../../proxy/memory/models/media-bounds.ts';

const clip = { model_type: 'clip_vision_model', image_size: 336, patch_size: 14 };

describe('tokens of one image at most', () => {
  test.each<[string, object, MediaBound]>([
    ['Gemma 3: 256, and their frame', { model_type: 'gemma3', mm_tokens_per_image: 256 }, 262],
    ['Gemma 3 by default', { model_type: 'gemma3' }, 262],
    ['LLaVA 1.5: 24 by 24, and the whole', { model_type: 'llava', vision_config: clip }, 577],
    [
      'LLaVA, whose eye is CLIP unless it says so',
      { model_type: 'llava', vision_config: { image_size: 224, patch_size: 32 } },
      50,
    ],
    [
      'LLaVA with SigLIP',
      {
        model_type: 'llava',
        vision_config: { model_type: 'siglip_vision_model', image_size: 384, patch_size: 14 },
      },
      730,
    ],
    [
      'Pixtral: 64 rows of 64 and a break',
      {
        model_type: 'llava',
        vision_config: { model_type: 'pixtral', image_size: 1024, patch_size: 16 },
      },
      4160,
    ],
    [
      'Mistral Small 3.1: 55 rows of 55 and a break',
      {
        model_type: 'mistral3',
        spatial_merge_size: 2,
        vision_config: { image_size: 1540, patch_size: 14 },
      },
      3080,
    ],
    ['PaliGemma 224', { model_type: 'paligemma', vision_config: { patch_size: 14 } }, 256],
    [
      'PaliGemma 448',
      { model_type: 'paligemma', vision_config: { image_size: 448, patch_size: 14 } },
      1024,
    ],
  ])('%s', (_, config, image) => {
    expect(mediaBoundsFromConfig(config)).toEqual({ ...NO_MEDIA, image });
  });

  test.each<[string, object]>([
    ['Gemma 3 of odd words', { model_type: 'gemma3', mm_tokens_per_image: '256' }],
    ['Gemma 3 of no tokens', { model_type: 'gemma3', mm_tokens_per_image: 0 }],
    ['more than any image has', { model_type: 'gemma3', mm_tokens_per_image: 2 ** 40 }],
    ['LLaVA without its eye', { model_type: 'llava' }],
    ['LLaVA of a size unknown', { model_type: 'llava', vision_config: { patch_size: 14 } }],
    ['LLaVA in crops', { model_type: 'llava', vision_config: clip, image_grid_pinpoints: [[1]] }],
    ['LLaVA with another eye', { model_type: 'llava', vision_config: { model_type: 'dino' } }],
    [
      'patches larger than the image',
      { model_type: 'paligemma', vision_config: { image_size: 9 } },
    ],
    ['Mistral 3 without its eye', { model_type: 'mistral3', vision_config: [] }],
    [
      'sizes of two sides',
      { model_type: 'mistral3', vision_config: { image_size: [1, 2], patch_size: 14 } },
    ],
  ])('not known for %s', (_, config) => {
    expect(mediaBoundsFromConfig(config)).toEqual({ ...NO_MEDIA, image: null });
  });
});

describe('nothing is known of', () => {
  test.each<[string, unknown]>([
    ['Qwen2-VL, whose pixels its preprocessor bounds', { model_type: 'qwen2_vl' }],
    ['Qwen2.5-VL', { model_type: 'qwen2_5_vl', vision_config: { patch_size: 14 } }],
    ['Qwen3-VL', { model_type: 'qwen3_vl' }],
    ['Llama 4, whose tiles its preprocessor bounds', { model_type: 'llama4' }],
    ['LLaVA-NeXT', { model_type: 'llava_next', vision_config: clip }],
    ['a family that is not listed', { model_type: 'made_up' }],
    ['no family', {}],
    ['no object', null],
    ['a list', ['gpt_oss']],
    ['a text model with eyes', { model_type: 'llama', mm_vision_tower: 'clip' }],
    ['a text model with ears', { model_type: 'qwen2', audio_config: {} }],
  ])('%s', (_, config) => {
    expect(mediaBoundsFromConfig(config)).toEqual(UNKNOWN_MEDIA);
  });
});

test.each(['gpt_oss', 'llama', 'mistral', 'qwen3_moe', 'gemma3_text'])(
  '%s reads text only',
  (family) => {
    const config = { model_type: family, vision_config: null, use_multimodal: false };
    expect(mediaBoundsFromConfig(config)).toEqual(NO_MEDIA);
  },
);

test('gpt-oss reads text only, its file or none', () => {
  expect(findModel('gpt-oss-120b')?.media).toEqual(NO_MEDIA);
});

test('the operator’s word goes first, for what it is about', () => {
  const bounds = { ...UNKNOWN_MEDIA, image: 'none', video: 7 } as const;
  expect(withToldTokens(bounds, { imageTokens: 1200, audioTokens: null })).toEqual({
    ...bounds,
    image: 1200,
  });
  expect(withToldTokens(bounds, { imageTokens: null, audioTokens: 750 })).toEqual({
    ...bounds,
    audio: 750,
  });
});
