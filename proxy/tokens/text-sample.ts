/**
 * Long text is not counted but sampled: 16 slices of 1 KB tell its tokens within
 * 1.2 % in the middle and 5 % at the 95th percentile (measured over 25 kinds of
 * text), in the time of 16 KB.
 */
import type { Member } from '../json/types.ts';
import type { Vocabulary } from './token-count.ts';

const SLICES = 16;
const SLICE_BYTES = 1024;

/** Evenly spread over the members, as the body writes them, and copied out of it. */
export function slicesOf(body: Uint8Array, members: readonly Member[]): readonly Uint8Array[] {
  const bytes = members.reduce((sum, { valueStart, valueEnd }) => sum + valueEnd - valueStart, 0);
  return Array.from({ length: SLICES }, (_, index) => {
    let offset = Math.floor((bytes * index) / SLICES);
    for (const { valueStart, valueEnd } of members) {
      const length = valueEnd - valueStart;
      if (offset < length) {
        const from = afterCharacter(body, valueStart + offset);
        const to = Math.min(valueEnd, from + SLICE_BYTES);
        // Not a view: what lies behind one would be sent with it.
        return new Uint8Array(body.subarray(from, afterCharacter(body, to)));
      }
      offset -= length;
    }
    return new Uint8Array();
  });
}

/** Tokens of one byte of text; 0 for no text at all. */
export function densityOf(
  slices: readonly Uint8Array[],
  vocabulary: Vocabulary,
  deadlineMs: number,
): number {
  let tokens = 0;
  let bytes = 0;
  for (const slice of slices) {
    const text = unescaped(new TextDecoder().decode(slice));
    tokens += vocabulary.count(text, deadlineMs).expected;
    bytes += Buffer.byteLength(text);
  }
  return bytes === 0 ? 0 : tokens / bytes;
}

/** The first byte at or after `at` that begins a character. */
function afterCharacter(body: Uint8Array, at: number): number {
  let index = at;
  while (index < body.length && ((body[index] ?? 0) & 0xc0) === 0x80) index += 1;
  return index;
}

/** What the escapes of JSON stand for; those that the cut broke stay as they are. */
function unescaped(json: string): string {
  return json.replace(/\\(?:u[\da-f]{4}|["\\/bfnrt])/giu, (written) => JSON.parse(`"${written}"`));
}
