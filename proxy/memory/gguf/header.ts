/**
 * Reads the metadata at the head of a GGUF file from its first bytes, chunk by
 * chunk (ggml/docs/gguf.md; ggml/src/gguf.cpp). Tensors are only counted. The
 * bytes are not trusted: whatever they say, time is linear in them and little
 * is held.
 */

import type { FieldProblem } from '../models/config-fields.ts';
import { ByteFeed } from './byte-feed.ts';
import type { GgufMetadata, GgufType, GgufValue } from './metadata.ts';
import { FIXED_TYPES, VALUE_TYPES } from './value-types.ts';

export interface GgufHeader {
  readonly version: number;
  readonly tensors: number;
  readonly metadata: GgufMetadata;
}

export type GgufHeaderState =
  | { readonly state: 'more' }
  | { readonly state: 'done'; readonly header: GgufHeader }
  /** `field` is a key, or a part of the header in parentheses. */
  | ({ readonly state: 'bad' } & FieldProblem);

/** `GGUF`, the first four bytes of every such file as a number. */
export const GGUF_MAGIC = 0x46_55_47_47;

/** Real files have about 50 keys, and 10 to 20 MiB of header where the vocabulary is large. */
const MAX_KEYS = 4_096;
const MAX_KEY_BYTES = 512;
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** What is longer is skipped: only its length is kept. */
const MAX_KEPT_STRING_BYTES = 1_024;
const MAX_KEPT_ELEMENTS = 1_024;

type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** Yields, each time bytes are missing, the field that they belong to. */
type Reading<T> = Generator<string, T, void>;

export class GgufHeaderReader {
  readonly #feed = new ByteFeed();
  readonly #reading = readHeader(this.#feed);
  #state: GgufHeaderState = { state: 'more' };
  #field = '(magic)';

  /** After `done` or `bad` further bytes change nothing. */
  push(chunk: Uint8Array): GgufHeaderState {
    if (this.#state.state !== 'more') return this.#state;
    this.#feed.push(chunk);
    const step = this.#reading.next();
    if (step.done === true) this.#state = step.value;
    else this.#field = step.value;
    return this.#state;
  }

  /** What is wrong with a file that ends while more is wanted. */
  cutOff(): FieldProblem {
    return { field: this.#field, problem: 'is cut off: the file ends here' };
  }
}

function* readHeader(feed: ByteFeed): Reading<GgufHeaderState> {
  yield* until(feed, 4, '(magic)');
  if (feed.uint32() !== GGUF_MAGIC) return bad('(magic)', 'is not that of a GGUF file');
  yield* until(feed, 4, '(version)');
  const version = feed.uint32();
  const problem = versionProblem(version);
  if (problem !== null) return bad('(version)', problem);
  yield* until(feed, 16, '(counts)');
  const tensors = feed.uint64();
  const keys = feed.uint64();
  if (!Number.isSafeInteger(tensors)) return bad('(tensor count)', `is ${tensors}`);
  if (keys > MAX_KEYS) return bad('(metadata count)', `is ${keys}, more than ${MAX_KEYS}`);

  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < keys; index++) {
    const place = `(key ${index + 1} of ${keys})`;
    const key = yield* readKey(feed, place);
    if (!key.ok) return bad(place, key.problem);
    if (metadata.has(key.value)) return bad(shown(key.value), 'is there twice');
    const value = yield* readValue(feed, shown(key.value));
    if (!value.ok) return bad(shown(key.value), value.problem);
    metadata.set(key.value, value.value);
  }
  return { state: 'done', header: { version, tensors, metadata } };
}

/** Read with the other byte order, a small version has its low half empty. */
function versionProblem(version: number): string | null {
  if (version === 2 || version === 3) return null;
  if (version !== 0 && (version & 0xffff) === 0) {
    return 'is of a file with big-endian numbers, which is not supported';
  }
  return `${version} is not supported, only 2 and 3`;
}

function* readKey(feed: ByteFeed, place: string): Reading<Read<string>> {
  yield* until(feed, 8, place);
  const bytes = feed.uint64();
  if (bytes === 0) return refused('is empty');
  if (bytes > MAX_KEY_BYTES) return refused(`has ${bytes} bytes, more than ${MAX_KEY_BYTES}`);
  yield* until(feed, bytes, place);
  return { ok: true, value: new TextDecoder().decode(feed.take(bytes)) };
}

function* readValue(feed: ByteFeed, key: string): Reading<Read<GgufValue>> {
  yield* until(feed, 4, key);
  const type = readType(feed);
  if (!type.ok) return type;
  if (type.value === 'string') return yield* readString(feed, key);
  if (type.value === 'array') return yield* readArray(feed, key);
  const { bytes, read } = FIXED_TYPES[type.value];
  yield* until(feed, bytes, key);
  return { ok: true, value: read(feed.take(bytes), 0) };
}

function readType(feed: ByteFeed): Read<GgufType> {
  const code = feed.uint32();
  const type = VALUE_TYPES[code];
  return type === undefined ? refused(`has the unknown type ${code}`) : { ok: true, value: type };
}

function* readString(feed: ByteFeed, key: string): Reading<Read<GgufValue>> {
  yield* until(feed, 8, key);
  const bytes = feed.uint64();
  if (isBeyondHeader(feed, bytes)) return tooLong();
  if (bytes > MAX_KEPT_STRING_BYTES) {
    yield* skip(feed, bytes, key);
    return { ok: true, value: { kind: 'string', bytes } };
  }
  yield* until(feed, bytes, key);
  return { ok: true, value: new TextDecoder().decode(feed.take(bytes)) };
}

function* readArray(feed: ByteFeed, key: string): Reading<Read<GgufValue>> {
  yield* until(feed, 12, key);
  const type = readType(feed);
  if (!type.ok) return type;
  const elementType = type.value;
  const length = feed.uint64();
  if (elementType === 'array') return refused('holds arrays, which no reader supports');
  if (elementType === 'string') {
    // Each string takes the eight bytes of its length at least.
    if (isBeyondHeader(feed, length * 8)) return tooLong();
    for (let index = 0; index < length; index++) {
      // In place, since a vocabulary comes here some hundred thousand times.
      while (!feed.has(8)) yield key;
      const bytes = feed.uint64();
      if (isBeyondHeader(feed, bytes)) return tooLong();
      feed.skip(bytes);
    }
    yield* until(feed, 0, key);
    return { ok: true, value: { kind: 'array', elementType, length } };
  }
  const { bytes, read } = FIXED_TYPES[elementType];
  if (isBeyondHeader(feed, length * bytes)) return tooLong();
  if (length > MAX_KEPT_ELEMENTS) {
    yield* skip(feed, length * bytes, key);
    return { ok: true, value: { kind: 'array', elementType, length } };
  }
  yield* until(feed, length * bytes, key);
  const view = feed.take(length * bytes);
  return { ok: true, value: Array.from({ length }, (_, index) => read(view, index * bytes)) };
}

function* until(feed: ByteFeed, bytes: number, field: string): Reading<void> {
  while (!feed.has(bytes)) yield field;
}

/** A file that ends within what is skipped is cut off all the same. */
function* skip(feed: ByteFeed, bytes: number, field: string): Reading<void> {
  feed.skip(bytes);
  yield* until(feed, 0, field);
}

function isBeyondHeader(feed: ByteFeed, bytes: number): boolean {
  return feed.readBytes + bytes > MAX_HEADER_BYTES;
}

function tooLong(): { readonly ok: false; readonly problem: string } {
  return refused(`makes the header longer than ${MAX_HEADER_BYTES / 2 ** 20} MiB`);
}

function refused(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}

function bad(field: string, problem: string): GgufHeaderState {
  return { state: 'bad', field, problem };
}

/** A key as a message may hold it: one line, bounded. */
function shown(key: string): string {
  return key.replace(/[^\x20-\x7e]/g, '?').slice(0, 80);
}
