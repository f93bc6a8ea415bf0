/** What the images, recordings, videos and files of a prompt take, or why they are refused. */
import type { Media, Member } from '../proxy/json/types.ts';
import {
  type MediaBound,
  type MediaBounds,
  UNKNOWN_MEDIA,
  withToldTokens,
} from '../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../proxy/memory/models/model-spec.ts';
import type { EngineHints } from './adapter.ts';
import type { RequestFields } from './request-fields.ts';

/** vLLM: they change how large media are made before they are counted. */
const SIZE_FIELDS = ['mm_processor_kwargs', 'media_io_kwargs'];

/**
 * For what is written around each, newlines and marks of begin and end: 6
 * tokens for Gemma 3 (transformers, processing_gemma3.py), and a newline more
 * where vLLM joins the parts (chat_utils.py).
 */
const FRAME_TOKENS = 16;

interface Words {
  readonly one: string;
  readonly many: string;
  /** What the operator can do where the tokens of one are not known. */
  readonly remedy: string;
}

const IMAGE: Words = {
  one: 'image',
  many: 'images',
  remedy: ': the operator can tell with --image-tokens',
};
const AUDIO: Words = {
  one: 'recording',
  many: 'recordings',
  remedy: ': the operator can tell with --audio-tokens',
};
const VIDEO: Words = { one: 'video', many: 'videos', remedy: '' };
const FILE: Words = { one: 'file', many: 'files', remedy: '' };
const UNNAMED: Words = {
  one: 'image or recording',
  many: 'images or recordings',
  remedy: ': the operator can tell with --image-tokens and --audio-tokens',
};

/** Bounds for the model an engine serves: the operator's word, else what its file says. */
export function knownMedia(spec: ModelSpec | null, hints: EngineHints): MediaBounds {
  return withToldTokens(spec?.media ?? UNKNOWN_MEDIA, hints);
}

/**
 * The most tokens that the media in `members` add to the prompt; 0 for none.
 * What the model does not take, or what nothing bounds, is refused in `fields`
 * by the member's name. A lower bound of them is 0: engines may leave them out.
 */
export function mediaTokens(
  fields: RequestFields,
  members: readonly Member[],
  bounds: MediaBounds,
): number {
  const held = members.filter(({ media }) => holdsAny(media));
  for (const name of held.length === 0 ? [] : SIZE_FIELDS) {
    if (fields.member(name) === null) continue;
    fields.refuse(name, `${name} is not supported: it changes how many tokens media take`);
  }
  let tokens = 0;
  for (const { key, media } of held) {
    if (media.embeddings > 0) {
      fields.refuse(key, `${key} holds embeddings, whose size in tokens can't be told`);
    }
    for (const [count, bound, words] of [
      [media.images, bounds.image, IMAGE],
      [media.audios, bounds.audio, AUDIO],
      [media.videos, bounds.video, VIDEO],
      [media.files, bounds.file, FILE],
      [media.unnamed, eitherBound(bounds), UNNAMED],
    ] as const) {
      if (count === 0) continue;
      if (typeof bound === 'number') tokens += count * (bound + FRAME_TOKENS);
      else fields.refuse(key, `${key} holds ${refusal(count, bound, words)}`);
    }
  }
  return tokens;
}

/** Bytes of strings that are text, or may be. */
export function textBytesOf(member: Member): number {
  return member.stringBytes - member.media.payloadBytes;
}

/** Bytes of a member as it is written, without what is surely media. */
export function writtenBytesOf({ valueStart, valueEnd, media }: Member): number {
  return valueEnd - valueStart - media.payloadWrittenBytes;
}

function refusal(count: number, bound: null | 'none', { one, many, remedy }: Words): string {
  const what = count === 1 ? `an ${one}`.replace(/^an (?=[^aeiou])/, 'a ') : `${count} ${many}`;
  return bound === 'none'
    ? `${what}, but the model takes none`
    : `${what}, and how many tokens the model takes for one is not known${remedy}`;
}

/** Of a part that is an image or a recording. */
function eitherBound({ image, audio }: MediaBounds): MediaBound {
  if (image === null || audio === null) return null;
  if (image === 'none') return audio;
  return audio === 'none' ? image : Math.max(image, audio);
}

function holdsAny(media: Media): boolean {
  const { images, audios, videos, files, embeddings, unnamed } = media;
  return images + audios + videos + files + embeddings + unnamed > 0;
}
