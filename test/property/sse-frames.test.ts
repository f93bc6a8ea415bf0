/** Cutting a stream into events loses no byte and finds every event, wherever the chunks end. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SseFrames } from '../../proxy/http/sse-frames.ts';

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

function run(chunks: readonly Buffer[]): { bytes: Buffer; data: string[]; rest: Buffer } {
  const frames = new SseFrames();
  const results = chunks.map((chunk) => frames.push(chunk));
  return {
    bytes: Buffer.concat(results.map(({ bytes }) => bytes)),
    data: results.flatMap(({ data }) => data),
    rest: frames.rest,
  };
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
    const frames = new SseFrames();
    frames.push(Buffer.from(long));
    expect(frames.rest.length).toBeLessThan(3);
  });
});
