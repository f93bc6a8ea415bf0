/**
 * How requests name media: OpenAI's content parts (openai-node, completions.ts
 * and responses.ts) with what vLLM (chat_utils.py, MM_PARSER_MAP) and llama.cpp
 * (server-common.cpp) add to them, Anthropic's blocks (anthropic-sdk, messages.ts),
 * those of Hugging Face chat templates, Ollama's `images` and llama.cpp's
 * `multimodal_data`. Sets of keys, types and kinds are kept as bits of a number.
 */
import type { Media } from './types.ts';
import { WordTable } from './word-table.ts';

/** Keys whose strings may be the media themselves. */
const PAYLOAD_KEYS = [
  ...['url', 'data', 'path', 'base64', 'image', 'audio', 'video', 'source'],
  ...['image_url', 'audio_url', 'video_url', 'input_audio', 'input_video'],
  ...['file', 'file_data', 'file_url'],
];
export const PAYLOAD_KEY_COUNT = PAYLOAD_KEYS.length;

/** Fewer than 32, since sets of them are bits. */
const KEYS = [
  ...PAYLOAD_KEYS,
  ...['type', 'content', 'output', 'images', 'multimodal_data', 'uuid'],
  ...['image_embeds', 'audio_embeds', 'prompt_embeds', 'image_pil'],
];
export const KEY_COUNT = KEYS.length;

/** Of an Anthropic source that holds media; those of type `text` and `content` hold text. */
const SOURCE_TYPES = ['base64', 'url'];
/** Types of parts that are not also keys. */
const OTHER_TYPES = ['input_image', 'input_file', 'document', 'tool_result'];

/** All words, keys first: those of payload keys are below `PAYLOAD_KEY_COUNT`. */
export const WORDS = new WordTable([...KEYS, ...OTHER_TYPES]);

/** The code of a key; -1 for one that is of no interest. */
export function keyCode(key: string): number {
  const code = WORDS.codeOf(key);
  return code < KEY_COUNT ? code : -1;
}

function keyBits(...keys: readonly string[]): number {
  return keys.reduce((bits, key) => bits | (1 << keyCode(key)), 0);
}

export const KEY = {
  type: keyCode('type'),
  content: keyCode('content'),
  output: keyCode('output'),
  images: keyCode('images'),
  multimodalData: keyCode('multimodal_data'),
  uuid: keyCode('uuid'),
  source: keyCode('source'),
};

/** Keys of a part under which an object may hold the media. */
export const HOLDER_KEYS = keyBits(
  ...['image_url', 'audio_url', 'video_url', 'input_audio', 'input_video'],
  ...['file', 'source', 'image', 'audio', 'video'],
);
/** Keys of such an object that do. */
export const HELD_KEYS = keyBits('url', 'data', 'file_data');

/** The order in which kinds are counted. */
export const KINDS = ['images', 'audios', 'videos', 'files', 'embeddings', 'unnamed'] as const;
type MediaKind = Exclude<keyof Media, 'payloadBytes' | 'payloadWrittenBytes'>;

function kindBits(kind: MediaKind | null): number {
  return kind === null ? 0 : 1 << KINDS.indexOf(kind);
}

/** By the code of a key: what a part without a type is by having it (vLLM, chat_utils.py). */
export const KINDS_BY_KEY: readonly number[] = KEYS.map((key) => {
  switch (key) {
    case 'image_url':
    case 'image_pil':
      return kindBits('images');
    case 'audio_url':
    case 'input_audio':
      return kindBits('audios');
    case 'video_url':
      return kindBits('videos');
    case 'image_embeds':
    case 'audio_embeds':
    case 'prompt_embeds':
      return kindBits('embeddings');
    default:
      return 0;
  }
});

interface PartType {
  readonly word: string;
  /** What such a part is, as bits. */
  readonly kinds: number;
  /** Its keys that hold the media. */
  readonly payloadKeys: number;
  /** Whether there may be media inside its `content`, or inside that of its source. */
  readonly isWrapping: boolean;
}

function partType(
  word: string,
  kind: MediaKind | null,
  keys: readonly string[],
  isWrapping = false,
): PartType {
  return { word, kinds: kindBits(kind), payloadKeys: keyBits(...keys), isWrapping };
}

const PART_TYPES: readonly PartType[] = [
  partType('image_url', 'images', ['image_url']),
  partType('input_image', 'images', ['image_url']),
  partType('image', 'images', ['source', 'url', 'path', 'base64', 'image']),
  partType('image_pil', 'images', []),
  partType('audio_url', 'audios', ['audio_url']),
  partType('input_audio', 'audios', ['input_audio']),
  partType('audio', 'audios', ['source', 'url', 'path', 'base64', 'audio']),
  partType('video_url', 'videos', ['video_url']),
  partType('input_video', 'videos', ['input_video']),
  partType('video', 'videos', ['source', 'url', 'path', 'base64', 'video']),
  partType('file', 'files', ['file']),
  partType('input_file', 'files', ['file_data', 'file_url']),
  partType('document', 'files', ['source'], true),
  partType('image_embeds', 'embeddings', []),
  partType('audio_embeds', 'embeddings', []),
  partType('prompt_embeds', 'embeddings', []),
  partType('tool_result', null, [], true),
];

const wordCodes = Array.from({ length: KEY_COUNT + OTHER_TYPES.length }, (_, code) => code);

/** By the code of the word that is its type: what is known of a part; null: nothing. */
export const PART_TYPE_OF: readonly (PartType | null)[] = wordCodes.map(
  (code) => PART_TYPES.find(({ word }) => WORDS.codeOf(word) === code) ?? null,
);

const sourceCodes = SOURCE_TYPES.map((word) => WORDS.codeOf(word));

export function isSourceType(code: number): boolean {
  return sourceCodes.includes(code);
}
