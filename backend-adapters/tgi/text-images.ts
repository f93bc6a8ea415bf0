/**
 * Images in running text: vision models take the notation `![](...)` for one, an
 * address or the data itself, wherever the prompt has it, that of a chat once its
 * template was applied included (router/src/validation.rs, prepare_input).
 */
import {
  BACKSLASH,
  CLOSE_BRACKET,
  hexDigitValue,
  LOWER_U,
  OPEN_BRACKET,
} from '../../proxy/json/bytes.ts';
import type { MediaBound } from '../../proxy/memory/models/media-bounds.ts';
import type { TokenBounds } from '../../proxy/policy/types.ts';
import type { RequestFields } from '../request-fields.ts';

/**
 * The most that is searched, in one go and so in a few milliseconds. The engine
 * takes bodies of 2 MB unless its operator allows more (backends/v3/src/main.rs, payload_limit).
 */
const MAX_SEARCHED_BYTES = 4 * 1024 * 1024;

const BANG = 0x21;
const OPEN_PARENTHESIS = 0x28;
const NOTATION = [BANG, OPEN_BRACKET, CLOSE_BRACKET, OPEN_PARENTHESIS];

/**
 * The bounds of a prompt with the images that `written` names in its text.
 * @param name the field that is refused where they can't be counted, or have no bound
 */
export function withTextImages(
  fields: RequestFields,
  name: string,
  written: Uint8Array,
  bounds: TokenBounds,
  image: MediaBound,
): TokenBounds {
  if (image === 'none') return bounds;
  if (written.length > MAX_SEARCHED_BYTES) {
    const most = `${name} must be written in at most ${MAX_SEARCHED_BYTES} bytes`;
    fields.refuse(
      name,
      `${most}: the model takes images, and longer text is not searched for them`,
    );
    return bounds;
  }
  const images = imagesIn(written);
  if (images === 0) return bounds;
  if (image === null) {
    fields.refuse(name, `${name} holds an image, whose size in tokens can't be told`);
    return bounds;
  }
  // The notation itself is no text then, however long it is.
  const tokens = images * image;
  return { ...bounds, lo: 1, expected: bounds.expected + tokens, hi: bounds.hi + tokens };
}

/** How often the notation is in well-formed JSON, however its characters are escaped. */
function imagesIn(json: Uint8Array): number {
  let images = 0;
  let matched = 0;
  for (let at = 0; at < json.length; at += 1) {
    let character = json[at] ?? 0;
    if (character === BACKSLASH) {
      at += 1;
      if (json[at] === LOWER_U) {
        character = codeUnitAt(json, at + 1);
        at += 4;
      }
    }
    if (character !== NOTATION[matched]) matched = character === BANG ? 1 : 0;
    else if (matched < NOTATION.length - 1) matched += 1;
    else {
      images += 1;
      matched = 0;
    }
  }
  return images;
}

function codeUnitAt(json: Uint8Array, from: number): number {
  let unit = 0;
  for (let at = from; at < from + 4; at += 1) unit = unit * 16 + hexDigitValue(json[at] ?? 0);
  return unit;
}
