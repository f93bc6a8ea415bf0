/**
 * How many tokens one part of a prompt that is no text can take at most, as far
 * as a model's config.json tells. Bounds that the preprocessor's own file sets
 * (Qwen-VL's pixels, Llama 4's tiles, LLaVA-NeXT's and InternVL's crops) are
 * not in it and stay unknown: nothing is guessed.
 */

/** Tokens at most; null: not known; `none`: the model takes no such parts. */
export type MediaBound = number | null | 'none';

export interface MediaBounds {
  readonly image: MediaBound;
  readonly audio: MediaBound;
  readonly video: MediaBound;
  readonly file: MediaBound;
}

export const UNKNOWN_MEDIA: MediaBounds = { image: null, audio: null, video: null, file: null };

/** Of a model that reads text only. */
export const NO_MEDIA: MediaBounds = { image: 'none', audio: 'none', video: 'none', file: 'none' };

/** Far above any part known, and low enough that sums over a body keep their meaning. */
const MAX_PART_TOKENS = 2 ** 24;

/**
 * Families that embed token ids and nothing else (transformers,
 * src/transformers/models/<name>/modeling_<name>.py).
 */
const TEXT_ONLY: ReadonlySet<unknown> = new Set([
  ...['gpt_oss', 'llama', 'mistral', 'mixtral', 'qwen2', 'qwen2_moe', 'qwen3', 'qwen3_moe'],
  ...['gemma', 'gemma2', 'gemma3_text', 'phi', 'phi3', 'phimoe', 'cohere', 'cohere2'],
  ...['olmo', 'olmo2', 'olmo3', 'olmoe', 'olmo_hybrid', 'qwen3_next', 'smollm3', 'starcoder2'],
  ...['glm', 'glm4', 'glm4_moe', 'glm4_moe_lite', 'glm_moe_dsa', 'minimax_m2', 'seed_oss'],
  ...['deepseek_v2', 'deepseek_v3', 'deepseek_v32', 'kimi_k2', 'kimi_linear', 'ministral'],
  ...['ministral3', 'exaone4', 'ernie4_5', 'ernie4_5_moe', 'granite', 'granitemoe'],
  ...['granitemoehybrid', 'bamba', 'jamba', 'falcon_h1', 'nemotron_h', 'lfm2', 'lfm2_moe'],
]);
/** Fields by which files that borrow a family's name add eyes or ears to it. */
const SENSE = /vision|visual|image|video|audio|speech|multimodal|(^|_)mm_/i;

/** Gemma 3: two newlines on both sides, and the tokens that begin and end an image. */
const GEMMA3_FRAME_TOKENS = 6;

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The bounds that a parsed Hugging Face config.json implies. A field that is
 * missing and has no documented default, or is not of the kind documented,
 * leaves the bound unknown.
 */
export function mediaBoundsFromConfig(json: unknown): MediaBounds {
  const config = isObject(json) ? json : {};
  const family = config.model_type;
  if (TEXT_ONLY.has(family)) {
    const hasSenses = Object.entries(config).some(
      ([name, value]) => value !== null && value !== false && SENSE.test(name),
    );
    return hasSenses ? UNKNOWN_MEDIA : NO_MEDIA;
  }
  const vision = isObject(config.vision_config) ? config.vision_config : null;
  switch (family) {
    case 'gemma3':
      return imagesOnly(gemma3Tokens(config));
    case 'paligemma':
      return imagesOnly(vision === null ? null : siglipTokens(vision));
    case 'llava':
      return imagesOnly(llavaTokens(config, vision));
    case 'mistral3':
      return imagesOnly(
        vision === null ? null : pixtralTokens(vision, config.spatial_merge_size, 2),
      );
    default:
      return UNKNOWN_MEDIA;
  }
}

/**
 * The operator's word goes before what the model's file says, even where that
 * says `none`. Null: the operator said nothing.
 */
export function withToldTokens(
  bounds: MediaBounds,
  told: { readonly imageTokens: number | null; readonly audioTokens: number | null },
): MediaBounds {
  return {
    ...bounds,
    image: told.imageTokens ?? bounds.image,
    audio: told.audioTokens ?? bounds.audio,
  };
}

/** vLLM allows these families images alone (model_executor/models, get_supported_mm_limits). */
function imagesOnly(image: number | null): MediaBounds {
  return { ...NO_MEDIA, image: image !== null && image <= MAX_PART_TOKENS ? image : null };
}

/**
 * The processor writes each image as `mm_tokens_per_image` tokens in a frame
 * (transformers, processing_gemma3.py). Pan-and-scan, off unless an operator
 * turns it on, would add crops of as many tokens: the operator must tell then.
 */
function gemma3Tokens(config: JsonObject): number | null {
  const tokens = sizeOr(config.mm_tokens_per_image, 256);
  return tokens === null ? null : tokens + GEMMA3_FRAME_TOKENS;
}

/** A fixed grid of patches (transformers, SiglipVisionConfig and its defaults). */
function siglipTokens(vision: JsonObject): number | null {
  return gridTokens(sizeOr(vision.image_size, 224), sizeOr(vision.patch_size, 16));
}

/**
 * One token a patch, and that of the whole image where it is kept (transformers,
 * processing_llava.py; CLIP refuses images of another size than its own).
 */
function llavaTokens(config: JsonObject, vision: JsonObject | null): number | null {
  // Files of LLaVA-NeXT name crops there.
  if (vision === null || (config.image_grid_pinpoints ?? null) !== null) return null;
  switch (vision.model_type ?? 'clip_vision_model') {
    case 'clip_vision_model': {
      const patches = gridTokens(sizeOr(vision.image_size, null), sizeOr(vision.patch_size, null));
      return patches === null ? null : patches + 1;
    }
    case 'siglip_vision_model': {
      const patches = siglipTokens(vision);
      return patches === null ? null : patches + 1;
    }
    case 'pixtral':
      return pixtralTokens(vision, 1, 1);
    default:
      return null;
  }
}

/**
 * A token for each square of patches that are merged, and one that ends each
 * row: at most n rows of n + 1 for an image of the largest size (transformers,
 * processing_pixtral.py, image_processing_pixtral.py and PixtralVisionConfig,
 * whose `image_size` is the largest dimension of an image).
 */
function pixtralTokens(
  vision: JsonObject,
  mergeSize: unknown,
  defaultMergeSize: number,
): number | null {
  const imageSize = sizeOr(vision.image_size, 1024);
  const patchSize = sizeOr(vision.patch_size, 16);
  const merged = sizeOr(mergeSize, defaultMergeSize);
  if (imageSize === null || patchSize === null || merged === null) return null;
  const side = Math.ceil(imageSize / (patchSize * merged));
  return side * (side + 1);
}

function gridTokens(imageSize: number | null, patchSize: number | null): number | null {
  if (imageSize === null || patchSize === null || patchSize > imageSize) return null;
  return Math.floor(imageSize / patchSize) ** 2;
}

/** A whole number of at least 1; the default where there is none; null for anything else. */
function sizeOr(value: unknown, byDefault: number | null): number | null {
  if (value === undefined || value === null) return byDefault;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : null;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
