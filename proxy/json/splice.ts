/**
 * Changes single fields of a JSON body in its bytes. Whatever is not changed
 * stays as it came: a 64-bit integer, `1.0`, the order of keys, whitespace.
 */
import type { Edit, Member, ScannedObject } from './types.ts';

/** Bytes [start, end) of the body give way to `text`; nothing does where they are equal. */
interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * The body with every edit applied: an existing member gets the new value, a
 * missing one is added right before the closing brace, in the order of the
 * edits. Of two edits to one key the last holds. `object` is the scan of `body`.
 */
export function splice(
  body: Uint8Array,
  object: ScannedObject,
  edits: readonly Edit[],
): Uint8Array {
  const [only = body, ...others] = splicedPieces(body, object, edits);
  return others.length === 0 ? only : concatenate([only, ...others]);
}

/** As `splice`, in pieces: what stays is not copied, however long it is. */
export function splicedPieces(
  body: Uint8Array,
  object: ScannedObject,
  edits: readonly Edit[],
): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  for (const { start, end, text } of replacements(object, edits)) {
    pieces.push(body.subarray(copied, start), encoder.encode(text));
    copied = end;
  }
  return edits.length === 0 ? [body] : [...pieces, body.subarray(copied)];
}

/** The text of a member's value, as the client wrote it. */
export function memberJson(body: Uint8Array, member: Member): string {
  return decoder.decode(body.subarray(member.valueStart, member.valueEnd));
}

/** A member's value parsed; undefined when it is written in more than `maxBytes`. */
export function smallValue(body: Uint8Array, member: Member, maxBytes = 65_536): unknown {
  if (member.valueEnd - member.valueStart > maxBytes) return undefined;
  return JSON.parse(memberJson(body, member));
}

/** In the order of the body, where all additions come last. */
function replacements(object: ScannedObject, edits: readonly Edit[]): Replacement[] {
  const changed: Replacement[] = [];
  const added: Replacement[] = [];
  const at = object.closingBrace;
  for (const [key, json] of new Map(edits.map((edit) => [edit.key, edit.json]))) {
    const member = object.members.get(key);
    if (member !== undefined) {
      changed.push({ start: member.valueStart, end: member.valueEnd, text: json });
    } else {
      const comma = object.members.size + added.length > 0 ? ',' : '';
      added.push({ start: at, end: at, text: `${comma}${JSON.stringify(key)}:${json}` });
    }
  }
  return [...changed.sort((a, b) => a.start - b.start), ...added];
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
