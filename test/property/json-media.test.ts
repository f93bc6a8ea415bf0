/**
 * Media found by the scanner against an independent reading of the parsed
 * value, over bodies that hold content parts of every known shape and of many
 * wrong ones, however they are written and cut.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonScanner } from '../../proxy/json/scanner.ts';
import type { Media, ScanError, ScannedObject } from '../../proxy/json/types.ts';
import { type Json, type JsonObject, jsonValue, seeds, write } from '../support/arbitrary-json.ts';
import { bytesOf, memberOf, scanObject } from '../support/scan-json.ts';

type Kind = 'images' | 'audios' | 'videos' | 'files' | 'embeddings' | 'unnamed';
const KINDS: readonly Kind[] = [
  ...(['images', 'audios', 'videos', 'files'] as const),
  ...(['embeddings', 'unnamed'] as const),
];

/** Of each type of part: what it is, and which of its keys hold the media. */
const PARTS: Readonly<Record<string, readonly [Kind, ...string[]]>> = {
  image_url: ['images', 'image_url'],
  input_image: ['images', 'image_url'],
  image: ['images', 'source', 'url', 'path', 'base64', 'image'],
  image_pil: ['images'],
  audio_url: ['audios', 'audio_url'],
  input_audio: ['audios', 'input_audio'],
  audio: ['audios', 'source', 'url', 'path', 'base64', 'audio'],
  video_url: ['videos', 'video_url'],
  input_video: ['videos', 'input_video'],
  video: ['videos', 'source', 'url', 'path', 'base64', 'video'],
  file: ['files', 'file'],
  input_file: ['files', 'file_data', 'file_url'],
  document: ['files', 'source'],
  image_embeds: ['embeddings'],
  audio_embeds: ['embeddings'],
  prompt_embeds: ['embeddings'],
};
const UNTYPED: Readonly<Record<string, Kind>> = {
  image_url: 'images',
  image_pil: 'images',
  audio_url: 'audios',
  input_audio: 'audios',
  video_url: 'videos',
  image_embeds: 'embeddings',
  audio_embeds: 'embeddings',
  prompt_embeds: 'embeddings',
};
const HOLDERS = [
  ...['image_url', 'audio_url', 'video_url', 'input_audio', 'input_video'],
  ...['file', 'source', 'image', 'audio', 'video'],
];

interface Reading {
  readonly counts: Record<Kind, number>;
  /** Every string that is media, in any order. */
  readonly payload: string[];
}

function nothing(): Reading {
  const counts = { images: 0, audios: 0, videos: 0, files: 0, embeddings: 0, unnamed: 0 };
  return { counts, payload: [] };
}

function merge(readings: readonly Reading[]): Reading {
  const sum = nothing();
  for (const { counts, payload } of readings) {
    for (const kind of KINDS) sum.counts[kind] += counts[kind];
    sum.payload.push(...payload);
  }
  return sum;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By recursion over the parsed value, where the scanner goes by bits over a stream. */
function readMember(name: string, value: Json): Reading {
  if (Array.isArray(value)) {
    if (name === 'images' || name === 'multimodal_data') return readList(name, value);
    return merge(value.filter(isObject).map(readItem));
  }
  return isObject(value) ? readItem(value) : nothing();
}

function readItem(item: JsonObject): Reading {
  return merge(
    Object.entries(item).map(([key, value]) => {
      if (!Array.isArray(value)) return nothing();
      if (key === 'images' || key === 'multimodal_data') return readList(key, value);
      return key === 'content' || key === 'output' ? readParts(value) : nothing();
    }),
  );
}

function readList(name: string, list: readonly Json[]): Reading {
  const reading = nothing();
  const items = list.filter((item) => item !== null);
  reading.counts[name === 'images' ? 'images' : 'unnamed'] = items.length;
  reading.payload.push(...items.filter((item) => typeof item === 'string'));
  return reading;
}

function readParts(value: Json | undefined): Reading {
  return Array.isArray(value) ? merge(value.filter(isObject).map(readPart)) : nothing();
}

function readPart(part: JsonObject): Reading {
  const { type = null } = part;
  const known = typeof type === 'string' && Object.hasOwn(PARTS, type) ? PARTS[type] : undefined;
  const kinds = new Set<Kind>(known === undefined ? [] : [known[0]]);
  const cached = (part.uuid ?? null) !== null;
  if (type === null || cached) {
    for (const [key, kind] of Object.entries(UNTYPED)) {
      if (Object.hasOwn(part, key) && (cached || part[key] !== null)) kinds.add(kind);
    }
  }
  const own = nothing();
  for (const kind of kinds) own.counts[kind] += 1;
  for (const key of known?.slice(1) ?? []) {
    const value = part[key];
    if (typeof value === 'string') own.payload.push(value);
    else if (isObject(value) && HOLDERS.includes(key)) own.payload.push(...heldBy(key, value));
  }
  const nested = merge([
    readParts(part.content),
    ...HOLDERS.map((key) => part[key])
      .filter(isObject)
      .map((holder) => readParts(holder.content)),
  ]);
  const wraps = type === 'tool_result' || type === 'document';
  return merge([own, wraps ? nested : { counts: nested.counts, payload: [] }]);
}

function heldBy(key: string, holder: JsonObject): string[] {
  if (key === 'source' && holder.type !== 'base64' && holder.type !== 'url') return [];
  return ['url', 'data', 'file_data']
    .map((held) => holder[held])
    .filter((held) => typeof held === 'string');
}

/** All strings of a value, keys left out. */
function stringsOf(value: Json): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values<Json>(value).flatMap(stringsOf);
}

function bytesIn(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + bytesOf(text).length, 0);
}

const word = fc.constantFrom(
  ...Object.keys(PARTS),
  ...['tool_result', 'tool_use', 'text', 'base64', 'url', 'content', 'images', 'x'],
);
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('type', 'content', 'text', 'source', 'url', 'data') },
  fc.constantFrom(...HOLDERS, ...Object.keys(UNTYPED), ...['file_data', 'file_url', 'file_id']),
  fc.constantFrom('uuid', 'path', 'base64', 'images', 'multimodal_data', 'output', 'role', 'input'),
);
const text = fc.oneof(
  word,
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('data:image/png;base64,iVBORw0KGgo=', 'https://example.com/cat.png'),
);
/** Objects of the words that matter, in arrangements right and wrong. */
const { value: wordy } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    { weight: 3, arbitrary: text },
    fc.constantFrom(null, 1, true),
    fc.array(tie('value'), { maxLength: 4 }),
    {
      weight: 4,
      arbitrary: fc
        .tuple(
          fc.option(word, { nil: undefined, freq: 4 }),
          fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }),
          fc.boolean(),
        )
        .map(([type, members, isTypeFirst]): JsonObject => {
          const named: [string, Json][] = type === undefined ? [] : [['type', type]];
          return Object.fromEntries(isTypeFirst ? [...named, ...members] : [...members, ...named]);
        }),
    },
  ),
}));
/** Parts as they should be, and such with something more or less in them. */
const holder = fc
  .tuple(
    fc.constantFrom('base64', 'url', 'text', 'file'),
    fc.constantFrom('url', 'data', 'file_data'),
  )
  .chain(([type, name]) => text.map((held): Json => ({ type, [name]: held, media_type: 'text' })));
const soundPart = fc
  .constantFrom(...Object.entries(PARTS))
  .chain(([type, [, ...keys]]) =>
    fc
      .tuple(fc.constantFrom(...keys, 'text'), fc.oneof(text, holder), fc.boolean())
      .map(
        ([name, value, isTypeFirst]): Json =>
          isTypeFirst ? { type, [name]: value } : { [name]: value, type },
      ),
  );
const wrappedPart = fc
  .tuple(
    fc.constantFrom('tool_result', 'tool_use', 'text', 'image'),
    fc.array(soundPart, { maxLength: 3 }),
  )
  .map(([type, content]): Json => ({ content, type, input: { content } }));
const part = fc.oneof(
  { weight: 3, arbitrary: soundPart },
  wrappedPart,
  fc
    .tuple(soundPart, key, wordy)
    .map(([sound, name, value]): Json => ({ ...(isObject(sound) ? sound : {}), [name]: value })),
);
const messages = fc.array(
  fc
    .tuple(fc.oneof(text, fc.array(fc.oneof(part, wordy), { minLength: 1, maxLength: 3 })), wordy)
    .map(([content, more]): Json => ({ role: 'user', content, more })),
  { minLength: 1, maxLength: 3 },
);
const body = fc
  .record({
    messages: fc.oneof({ weight: 4, arbitrary: messages }, wordy),
    images: wordy,
    other: jsonValue,
  })
  .chain((value) => seeds.map((seed) => ({ value, body: bytesOf(write(value, seed)) })));

function mediaIn(object: ScannedObject, name: string): Media {
  return memberOf(object, name).media;
}

function scanAt(bytes: Uint8Array, cuts: readonly number[]): ScannedObject | ScanError {
  const scanner = new JsonScanner();
  let from = 0;
  for (const cut of cuts) {
    scanner.push(bytes.subarray(from, cut));
    from = cut;
  }
  scanner.push(bytes.subarray(from));
  return scanner.end();
}

describe('media', () => {
  test('are those of the parsed value', () => {
    let withMedia = 0;
    fc.assert(
      fc.property(body, ({ value, body: bytes }) => {
        const object = scanObject(bytes);
        for (const [name, member] of Object.entries(value)) {
          const { counts, payload } = readMember(name, member);
          const found = mediaIn(object, name);
          expect(found).toMatchObject({ ...counts, payloadBytes: bytesIn(payload) });
          if (payload.length > 0) withMedia += 1;
        }
      }),
      { numRuns: 3000 },
    );
    expect(withMedia).toBeGreaterThan(500);
  });

  test('and text add up to all strings, of which no text part is media', () => {
    fc.assert(
      fc.property(body, ({ value, body: bytes }) => {
        const object = scanObject(bytes);
        for (const [name, member] of Object.entries(value)) {
          const { stringBytes, media } = memberOf(object, name);
          const texts = stringsOf(member);
          for (const payload of readMember(name, member).payload) {
            texts.splice(texts.indexOf(payload), 1);
          }
          expect(stringBytes - media.payloadBytes).toBe(bytesIn(texts));
          expect(media.payloadWrittenBytes).toBeGreaterThanOrEqual(media.payloadBytes);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a text stays text beside media, inside them and below them', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(part, wordy), { maxLength: 3 }), seeds, (parts, seed) => {
        const long = 'text '.repeat(1000);
        const textPart = { type: 'text', text: long, url: long, data: long, source: long };
        const value: Json = {
          messages: [{ role: 'user', content: [...parts, textPart, ...parts] }],
        };
        const { stringBytes, media } = memberOf(
          scanObject(bytesOf(write(value, seed))),
          'messages',
        );
        expect(stringBytes - media.payloadBytes).toBeGreaterThanOrEqual(4 * long.length);
      }),
    );
  });

  test('do not depend on how the body is cut', () => {
    fc.assert(
      fc.property(body, ({ body: bytes }) => {
        const whole = scanObject(bytes);
        const everywhere = Array.from(bytes, (_, at) => at);
        expect(scanAt(bytes, everywhere)).toEqual(whole);
        for (let cut = 0; cut < bytes.length; cut += 7) {
          expect(scanAt(bytes, [cut])).toEqual(whole);
        }
      }),
      { numRuns: 150 },
    );
  });
});
