/** What is remembered of one container that may hold media while it is open. */
import {
  HELD_KEYS,
  isSourceType,
  KEY,
  KINDS_BY_KEY,
  PART_TYPE_OF,
  PAYLOAD_KEY_COUNT,
} from './media-words.ts';
import type { JsonKind } from './types.ts';

/**
 * `items`: the messages of a chat; `item`: one of them, or a prompt with media;
 * `parts`: a message's content; `part`: an element of it; `holder`: the object
 * in a part that holds the media; `payloads`: a list of nothing but media.
 */
export type Role = 'items' | 'item' | 'parts' | 'part' | 'holder' | 'payloads';

const TYPE_BIT = 1 << KEY.type;
const UUID_BIT = 1 << KEY.uuid;

export class OpenContainer {
  role: Role = 'items';
  /** Code of the key whose value is read; -1: of no interest, or none yet. */
  key = -1;
  /** Media bytes known to be such in what it contains: as text, and as written. */
  nestedBytes = 0;
  nestedWrittenBytes = 0;
  /** Keys seen, as bits: with a value, and with null. */
  #present = 0;
  #nulls = 0;
  /** Code of the last type named; -1: none of the known ones. */
  #type = -1;
  #types = 0;
  #kindsOfTypes = 0;
  /** By the code of a payload key, those in `#filled`: bytes as text, then as written. */
  #candidates: number[] = [];
  #filled = 0;

  open(role: Role): void {
    this.role = role;
    this.key = -1;
    this.nestedBytes = 0;
    this.nestedWrittenBytes = 0;
    if (role !== 'part' && role !== 'holder') return;
    this.#present = 0;
    this.#nulls = 0;
    this.#type = -1;
    this.#types = 0;
    this.#kindsOfTypes = 0;
    this.#filled = 0;
  }

  /** A value begins under the current key. */
  openValue(kind: JsonKind): void {
    if (this.key < 0) return;
    if (kind === 'null') this.#nulls |= 1 << this.key;
    else {
      this.#present |= 1 << this.key;
      if (this.key === KEY.type && kind !== 'string') this.addType(-1);
    }
  }

  addType(code: number): void {
    this.#types += 1;
    this.#type = code;
    if (code >= 0) this.#kindsOfTypes |= PART_TYPE_OF[code]?.kinds ?? 0;
  }

  /** Bytes that are media if the container turns out to be of the right type. */
  addCandidate(bytes: number, writtenBytes: number): void {
    const { key } = this;
    if (key < 0 || key >= PAYLOAD_KEY_COUNT) return;
    if (this.#candidates.length === 0) this.#candidates = Array(2 * PAYLOAD_KEY_COUNT).fill(0);
    const isSecond = (this.#filled & (1 << key)) !== 0;
    const at = 2 * key;
    this.#candidates[at] = bytes + (isSecond ? (this.#candidates[at] ?? 0) : 0);
    this.#candidates[at + 1] = writtenBytes + (isSecond ? (this.#candidates[at + 1] ?? 0) : 0);
    this.#filled |= 1 << key;
  }

  addNested(bytes: number, writtenBytes: number): void {
    this.nestedBytes += bytes;
    this.nestedWrittenBytes += writtenBytes;
  }

  /**
   * The kinds of media that a part may be to some engine, as bits. vLLM goes by
   * the keys where there is no type, or a `uuid`, which may stand for media that
   * it has cached (chat_utils.py, _parse_chat_message_content_mm_part).
   */
  kinds(): number {
    const hasUuid = (this.#present & UUID_BIT) !== 0;
    let kinds = this.#kindsOfTypes;
    if (this.#hasOneType() && !hasUuid) return kinds;
    const keys = hasUuid ? this.#present | this.#nulls : this.#present;
    for (let bits = keys; bits !== 0; bits &= bits - 1) {
      kinds |= KINDS_BY_KEY[31 - Math.clz32(bits & -bits)] ?? 0;
    }
    return kinds;
  }

  /** Hands a part's media bytes to what contains it; whatever is not surely media stays text. */
  closePart(around: OpenContainer): void {
    if (this.#type < 0 || !this.#hasOneType()) return;
    const type = PART_TYPE_OF[this.#type] ?? null;
    if (type === null) return;
    for (let bits = type.payloadKeys & this.#filled; bits !== 0; bits &= bits - 1) {
      const at = 2 * (31 - Math.clz32(bits & -bits));
      around.addNested(this.#candidates[at] ?? 0, this.#candidates[at + 1] ?? 0);
    }
    if (type.isWrapping) around.addNested(this.nestedBytes, this.nestedWrittenBytes);
  }

  /** Hands a holder's media bytes to its part, under the key it stands at. */
  closeHolder(part: OpenContainer): void {
    part.addNested(this.nestedBytes, this.nestedWrittenBytes);
    if (part.key === KEY.source && !(isSourceType(this.#type) && this.#hasOneType())) return;
    for (let bits = HELD_KEYS & this.#filled; bits !== 0; bits &= bits - 1) {
      const at = 2 * (31 - Math.clz32(bits & -bits));
      part.addCandidate(this.#candidates[at] ?? 0, this.#candidates[at + 1] ?? 0);
    }
  }

  /** Not where a type is missing, or where there are two, of which readers may take either. */
  #hasOneType(): boolean {
    return this.#types === 1 && (this.#nulls & TYPE_BIT) === 0;
  }
}
