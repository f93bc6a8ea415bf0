/**
 * Tokens of pictures and recordings: whether the model takes any is in /props
 * (`modalities`), how long they get is in its start options or with the operator.
 */
import {
  type MediaBound,
  type MediaBounds,
  UNKNOWN_MEDIA,
} from '../../proxy/memory/models/media-bounds.ts';
import type { EngineHints } from '../adapter.ts';
import { flagInteger } from '../command-line.ts';
import { field } from '../engine-answer.ts';

/** Builds that tell no modalities leave everything unknown. */
export function mediaOf(
  props: unknown,
  args: readonly string[] | null,
  hints: EngineHints,
): MediaBounds {
  const modalities = field(props, 'modalities');
  const bound = (name: string, tokens: number | null): MediaBound =>
    field(modalities, name) === false ? 'none' : tokens;
  if (typeof field(modalities, 'vision') !== 'boolean') return UNKNOWN_MEDIA;
  const imageTokens = args === null ? null : flagInteger(args, ['--image-max-tokens']);
  return {
    image: bound('vision', hints.imageTokens ?? imageTokens),
    audio: bound('audio', hints.audioTokens),
    video: bound('video', null),
    // A chat of its takes no part that is a file (common/chat.cpp).
    file: 'none',
  };
}
