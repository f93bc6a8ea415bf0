/**
 * Records the top-level members while the scanner walks through the body. The
 * scanner says what it meets and how deep; what is worth keeping is known here.
 */
import { KeyText, MAX_KEY_BYTES } from './key-text.ts';
import { MediaRecorder } from './media-recorder.ts';
import { quotedKey, scanError } from './scan-error.ts';
import type { JsonKind, Member, ScanError } from './types.ts';

/** Depth inside the top-level object, and inside the container that is a member's value. */
const MEMBER_DEPTH = 1;
const CHILD_DEPTH = 2;

export class MemberRecorder {
  readonly members = new Map<string, Member>();
  readonly #maxMembers: number;
  readonly #keyText = new KeyText();
  /** Media inside the member: it is told what happens where it says it looks. */
  readonly media = new MediaRecorder();
  #key = '';
  #keyStart = 0;
  #valueStart = 0;
  #kind: JsonKind = 'null';
  #children = 0;
  #childKinds: JsonKind[] = [];
  #stringBytes = 0;
  #keyBytes = 0;
  #numbers = 0;

  constructor(maxMembers: number) {
    this.#maxMembers = maxMembers;
  }

  /** A member's key begins with the quote at `offset`. */
  openKey(offset: number): ScanError | null {
    if (this.members.size >= this.#maxMembers) {
      return scanError('too_many_members', `more than ${this.#maxMembers} fields,`, offset);
    }
    this.#keyText.reset();
    this.#keyStart = offset;
    return null;
  }

  /** Bytes of the open key, closing quote included, that can still be taken. */
  get keyRoom(): number {
    return this.#keyText.room;
  }

  appendKey(chunk: Uint8Array, from: number, to: number): void {
    this.#keyText.append(chunk, from, to);
  }

  keyTooLong(): ScanError {
    return scanError('syntax', `a field name longer than ${MAX_KEY_BYTES} bytes`, this.#keyStart);
  }

  /** The open key is complete, and its value follows. */
  closeKey(): ScanError | null {
    this.#key = this.#keyText.decode();
    if (this.members.has(this.#key)) {
      const problem = `the field ${quotedKey(this.#key)} is given a second time`;
      return scanError('duplicate_key', problem, this.#keyStart);
    }
    this.#children = 0;
    this.#childKinds = [];
    this.#stringBytes = 0;
    this.#keyBytes = 0;
    this.#numbers = 0;
    this.media.openMember(this.#key);
    return null;
  }

  /** A value begins in a container that is `depth` levels deep. */
  openValue(kind: JsonKind, depth: number, offset: number): void {
    if (kind === 'number') this.#numbers += 1;
    if (depth === this.media.depth) this.media.openValue(kind, offset);
    if (depth === MEMBER_DEPTH) {
      this.#kind = kind;
      this.#valueStart = offset;
    } else if (depth === CHILD_DEPTH) {
      this.#children += 1;
      if (this.#kind === 'array' && !this.#childKinds.includes(kind)) this.#childKinds.push(kind);
    }
  }

  /** A string value ends in a container that is `depth` levels deep. */
  closeString(decodedBytes: number, depth: number, end: number): void {
    this.#stringBytes += decodedBytes;
    if (depth === this.media.depth) this.media.closeString(decodedBytes, end);
    this.closeValue(depth, end);
  }

  closeNestedKey(decodedBytes: number, depth: number): void {
    this.#keyBytes += decodedBytes;
    if (depth === this.media.depth) this.media.closeKey();
  }

  /** A value ends in a container that is `depth` levels deep; `end` is one past its last byte. */
  closeValue(depth: number, end: number): void {
    if (depth < this.media.depth) this.media.closeContainer();
    if (depth !== MEMBER_DEPTH) return;
    this.members.set(this.#key, {
      key: this.#key,
      keyStart: this.#keyStart,
      valueStart: this.#valueStart,
      valueEnd: end,
      kind: this.#kind,
      children: this.#children,
      childKinds: this.#childKinds,
      stringBytes: this.#stringBytes,
      keyBytes: this.#keyBytes,
      numbers: this.#numbers,
      media: this.media.closeMember(),
    });
  }
}
