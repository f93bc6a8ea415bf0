/**
 * Finds images, recordings, videos and files in a top-level member while the
 * scanner walks through it, and how many bytes of its strings are such media
 * and no text. Only the places where engines look for media are followed (a
 * message's content, the content of a tool's result in it, ...); all the rest,
 * the input of a tool call say, is text, whatever it looks like.
 */
import { HOLDER_KEYS, KEY, KEY_COUNT, KINDS, keyCode, WORDS } from './media-words.ts';
import { OpenContainer, type Role } from './open-container.ts';
import type { JsonKind, Media } from './types.ts';
import { WordPieces } from './word-table.ts';

const NO_MEDIA: Media = {
  images: 0,
  audios: 0,
  videos: 0,
  files: 0,
  embeddings: 0,
  unnamed: 0,
  payloadBytes: 0,
  payloadWrittenBytes: 0,
};

const MEMBER_DEPTH = 1;
const IMAGE = 1 << KINDS.indexOf('images');
const UNNAMED = 1 << KINDS.indexOf('unnamed');

export class MediaRecorder {
  /** Depth of the innermost container that is followed: only there anything is to be told. */
  depth = MEMBER_DEPTH;
  /** The followed containers that are open, one a level; `#root` stands for the member itself. */
  readonly #root = new OpenContainer();
  readonly #open: OpenContainer[] = [];
  /** The innermost of them. */
  #container = this.#root;
  readonly #pieces = new WordPieces();
  /** Code of the last string that ended there; -1: none of the words. */
  #word = -1;
  #stringStart = 0;
  /** The open string is a value and can't be a type. */
  #skipsText = false;
  /** By the number of a kind; empty where none was found. */
  #counts: number[] = [];

  /** A member's value follows. */
  openMember(name: string): void {
    this.#root.open('item');
    this.#root.key = keyCode(name);
    this.#container = this.#root;
    this.depth = MEMBER_DEPTH;
    this.#counts = [];
  }

  /** What was found in the member. */
  closeMember(): Media {
    if (this.#counts.length === 0) return NO_MEDIA;
    const [images = 0, audios = 0, videos = 0, files = 0, embeddings = 0, unnamed = 0] =
      this.#counts;
    return {
      ...{ images, audios, videos, files, embeddings, unnamed },
      payloadBytes: this.#root.nestedBytes,
      payloadWrittenBytes: this.#root.nestedWrittenBytes,
    };
  }

  /** A piece of a key or of a string value: the last one, or as much as the chunk has. */
  takeText(chunk: Uint8Array, from: number, to: number, isLast: boolean): void {
    if (this.#skipsText) return;
    if (isLast && !this.#pieces.some) this.#word = WORDS.codeOfWritten(chunk, from, to);
    else {
      this.#pieces.keep(chunk, from, to);
      if (isLast) this.#word = this.#pieces.codeIn(WORDS);
    }
  }

  closeKey(): void {
    this.#container.key = this.#word < KEY_COUNT ? this.#word : -1;
  }

  openValue(kind: JsonKind, offset: number): void {
    const container = this.#container;
    const { role } = container;
    if (role === 'payloads') this.#countPayload(kind);
    else if (role === 'part' || role === 'holder') container.openValue(kind);
    if (kind === 'string') {
      this.#stringStart = offset;
      this.#skipsText = container.key !== KEY.type;
    } else if (kind === 'object' || kind === 'array') {
      const inside = roleInside(container, kind, this.depth === MEMBER_DEPTH);
      if (inside !== null) this.#follow(inside);
    }
  }

  /** A string value ends; `end` is one past its closing quote. */
  closeString(decodedBytes: number, end: number): void {
    this.#skipsText = false;
    const container = this.#container;
    const { role } = container;
    const writtenBytes = end - this.#stringStart - 2;
    if (role === 'payloads') container.addNested(decodedBytes, writtenBytes);
    else if (role === 'part' || role === 'holder') {
      if (container.key === KEY.type) container.addType(this.#word);
      else container.addCandidate(decodedBytes, writtenBytes);
    }
  }

  /** The innermost followed container ends. */
  closeContainer(): void {
    const closed = this.#container;
    this.depth -= 1;
    const around = this.#open[this.depth - MEMBER_DEPTH - 1] ?? this.#root;
    this.#container = around;
    if (closed.role === 'part') {
      this.#count(closed.kinds());
      closed.closePart(around);
    } else if (closed.role === 'holder') closed.closeHolder(around);
    else around.addNested(closed.nestedBytes, closed.nestedWrittenBytes);
  }

  #follow(role: Role): void {
    const level = this.depth - MEMBER_DEPTH;
    const container = this.#open[level] ?? new OpenContainer();
    this.#open[level] = container;
    container.open(role);
    this.#container = container;
    this.depth += 1;
  }

  #countPayload(kind: JsonKind): void {
    if (kind === 'null') return;
    const around = this.#open[this.depth - MEMBER_DEPTH - 2] ?? this.#root;
    this.#count(around.key === KEY.images ? IMAGE : UNNAMED);
  }

  #count(kinds: number): void {
    if (kinds === 0) return;
    if (this.#counts.length === 0) this.#counts = KINDS.map(() => 0);
    for (let bits = kinds; bits !== 0; bits &= bits - 1) {
      const number = 31 - Math.clz32(bits & -bits);
      this.#counts[number] = (this.#counts[number] ?? 0) + 1;
    }
  }
}

/** The role of a container by where it begins; null where nobody looks for media. */
function roleInside(
  around: OpenContainer,
  kind: 'object' | 'array',
  isMember: boolean,
): Role | null {
  const { role, key } = around;
  if (kind === 'object') {
    if (isMember || role === 'items') return 'item';
    if (role === 'parts') return 'part';
    return role === 'part' && key >= 0 && (HOLDER_KEYS & (1 << key)) !== 0 ? 'holder' : null;
  }
  const holdsParts = key === KEY.content || (role === 'item' && key === KEY.output);
  switch (role) {
    case 'item':
      if (key === KEY.images || key === KEY.multimodalData) return 'payloads';
      if (isMember) return 'items';
      return holdsParts ? 'parts' : null;
    case 'part':
    case 'holder':
      return holdsParts ? 'parts' : null;
    default:
      return null;
  }
}
