/** Cutting a stream into frames loses no byte and finds every frame, wherever the chunks end. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type FrameKind,
  JSON_LINES,
  SSE_EVENTS,
  StreamFrames,
} from '../../proxy/http/stream-frames.ts';

const lineEnd = fc.constantFrom('\n', '\r\n');
const line = fc.oneof(
  fc
    .string({ unit: 'grapheme', maxLength: 12 })
    .map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
  fc.constantFrom(': comment', 'event: message', 'id: 7', 'data:{"a":1}', 'data'),
);
const event = fc
  .tuple(fc.array(line, { minLength: 1, maxLength: 4 }), lineEnd)
  .map(([lines, end]) => `${lines.join(end)}${end}${end}`);
const stream = fc.array(event, { maxLength: 6 }).map((events) => events.join(''));

/** The same bytes in chunks that end at the given places. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
  const sorted = places.sort((a, b) => a - b);
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

function run(
  chunks: readonly Buffer[],
  kind: FrameKind = SSE_EVENTS,
  passesOn: (data: string) => boolean = () => true,
): { bytes: Buffer; data: string[]; rest: Buffer } {
  const data: string[] = [];
  const frames = new StreamFrames(kind, (text) => {
    data.push(text);
    return passesOn(text);
  });
  const bytes = Buffer.concat(chunks.map((chunk) => frames.push(chunk)));
  return { bytes, data, rest: frames.rest };
}

test('cuts change nothing', () => {
  fc.assert(
    fc.property(stream, fc.string(), fc.array(fc.nat()), (events, tail, cuts) => {
      const bytes = Buffer.from(events + tail.replaceAll('\n', ''));
      const whole = run([bytes]);
      expect(run(chunksOf(bytes, cuts))).toEqual(whole);
      expect(Buffer.concat([whole.bytes, whole.rest])).toEqual(bytes);
      expect(whole.bytes.toString()).toBe(events);
    }),
  );
});

test('a frame that is taken out leaves all others as they came', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 8 }), fc.array(fc.nat()), (drops, cuts) => {
      const texts = drops.map((drop, index) => `data: ${drop ? 'drop' : 'keep'} ${index}\n\n`);
      const bytes = Buffer.from(`: comment\n\n${texts.join('')}`);
      const kept = texts.filter((_, index) => drops[index] === false);
      const seen = run(chunksOf(bytes, cuts), SSE_EVENTS, (data) => !data.startsWith('drop'));
      expect(seen.bytes.toString()).toBe(`: comment\n\n${kept.join('')}`);
      expect(seen.data).toHaveLength(drops.length);
    }),
  );
});

test('lines are frames too, wherever they are cut', () => {
  const line = fc.json().map((text) => text.replaceAll('\n', ' '));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), fc.array(fc.nat()), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const seen = run(chunksOf(bytes, cuts), JSON_LINES);
      expect(seen.data).toEqual(lines.map((text) => text.trim()).filter((text) => text !== ''));
      expect(seen.bytes.equals(bytes)).toBe(true);
    }),
  );
});

describe('an event that is too long to be held', () => {
  const long = `data: ${'x'.repeat(3 * 1024 * 1024)}`;

  test.each(['\n\n', '\r\n\r\n', '\n\r\n'])(
    'passes, and what follows %j is read again',
    (blank) => {
      const bytes = Buffer.from(`data: 1\n\n${long}${blank}data: 2\n\n`);
      const end = bytes.length - 'data: 2\n\n'.length;
      for (let cut = end - blank.length - 1; cut <= end; cut++) {
        const {
          bytes: passed,
          data,
          rest,
        } = run([
          bytes.subarray(0, 2_000_000),
          bytes.subarray(2_000_000, cut),
          bytes.subarray(cut),
        ]);
        expect(passed.equals(bytes)).toBe(true);
        expect(data).toEqual(['1', '2']);
        expect(rest).toHaveLength(0);
      }
    },
  );

  test('is not held', () => {
    const frames = new StreamFrames(SSE_EVENTS, () => true);
    frames.push(Buffer.from(long));
    expect(frames.rest.length).toBeLessThan(3);
  });
});
