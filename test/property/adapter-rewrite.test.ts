/**
 * No alias of a limit leads past the grant. How an engine reads a body is
 * written here again, from its own rules, and asked for the spliced body.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { memberJson, splice } from '../../proxy/json/splice.ts';
import { enginesUnderTest } from '../support/engines-under-test.ts';
import { memberOf, scanObject } from '../support/scan-json.ts';
import { ANY_FACTS, CHAT, COMPLETION, scannedRequest } from '../support/scanned-request.ts';

type Body = Readonly<Record<string, unknown>>;

/** Output tokens of one sequence after which each engine stops, for a parsed body. */
const STOPS_AFTER: Readonly<Record<string, (path: string, body: Body) => number>> = {
  llamacpp: (_, body) => {
    const first = body.n_predict ?? body.max_completion_tokens ?? body.max_tokens ?? -1;
    return first === -1 ? Number.POSITIVE_INFINITY : Number(first);
  },
  vllm: (path, body) => {
    if (path === CHAT) {
      return Number(body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY);
    }
    return body.max_tokens === undefined ? 16 : Number(body.max_tokens ?? Number.POSITIVE_INFINITY);
  },
  // `max_completion_tokens or max_tokens` there; a completion has 16 unless it says otherwise.
  sglang: (path, body) => {
    if (path === CHAT) {
      return Number(body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY);
    }
    return body.max_tokens === undefined ? 16 : Number(body.max_tokens ?? Number.POSITIVE_INFINITY);
  },
  // One field and its alias.
  tgi: (path, body) => {
    const alias = path === CHAT ? body.max_completion_tokens : null;
    return Number(alias ?? body.max_tokens ?? Number.POSITIVE_INFINITY);
  },
  transformers: (_, body) => Number(body.max_tokens ?? 1024),
  ollama: (_, body) => {
    const tokens = Number(body.max_tokens ?? -1);
    return tokens < 0 ? Number.POSITIVE_INFINITY : tokens;
  },
  'gpt-oss-hf': (_, body) => Number(body.max_tokens ?? 100),
  // Whichever of the two a server reads, it must not lead past the grant: the larger one counts.
  openai: (path, body) => {
    if (path === COMPLETION) return Number(body.max_tokens ?? Number.POSITIVE_INFINITY);
    const given = [body.max_tokens, body.max_completion_tokens].filter((value) => value != null);
    return given.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...given.map(Number));
  },
};

const limit = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.constant(null));
const endless = fc.oneof(limit, fc.constant(-1));

/** Every alias there may be, in any order, some keys with an escape in them. */
function bodies(unlimitedIsAllowed: boolean): fc.Arbitrary<string> {
  const value = unlimitedIsAllowed ? endless : limit;
  const members = fc.record(
    {
      max_tokens: value,
      max_completion_tokens: value,
      n_predict: value,
      seed: fc.constant('12345678901234567890'),
      temperature: fc.constantFrom('0', '1.0', '2'),
      top_p: fc.constantFrom('0.1', '1.0'),
      min_tokens: fc.integer({ min: 0, max: 100 }),
      'unknown ü': fc.constant('{ "a" : [1.0, null] }'),
    },
    { requiredKeys: [] },
  );
  return fc
    .tuple(members, fc.infiniteStream(fc.boolean()), fc.boolean())
    .map(([record, escapes, asMessages]) => {
      const text = asMessages ? '"messages":[{"role":"user","content":"a"}]' : '"prompt":"a"';
      const rest = Object.entries(record).map(([key, json]) => {
        const written = escapes.next().value ? key.replace('_', '\\u005f') : key;
        return `"${written}" : ${json}`;
      });
      return `{${[text, ...rest].join(' ,\n')} }`;
    });
}

const grants = fc.record({
  outputTokens: fc.integer({ min: 1, max: 6000 }),
  sampling: fc.record(
    { temperature: fc.constantFrom(0, 0.5), topP: fc.constant(0.9) },
    { requiredKeys: [] },
  ),
});

describe.each(enginesUnderTest)('$name', ({ name, adapter }) => {
  const stopsAfter = STOPS_AFTER[name];
  if (stopsAfter === undefined) throw new Error(`no rules for ${name}`);

  test('stops within the grant, raises nothing and changes only what it says', () => {
    fc.assert(
      fc.property(bodies(name === 'llamacpp'), grants, (text, wanted) => {
        const path = text.startsWith('{"messages"') ? CHAT : COMPLETION;
        const request = scannedRequest(path, text);
        const shape = adapter.parse(request, ANY_FACTS);
        if ('invalid' in shape) throw new Error(shape.invalid);
        const asked = shape.requestedOutputTokens ?? Number.POSITIVE_INFINITY;
        const outputTokens = Math.min(wanted.outputTokens, asked);
        const rewrite = adapter.rewrite(request, shape, { ...wanted, outputTokens });
        const spliced = splice(request.body, request.object, rewrite.edits);
        const after = scanObject(spliced);

        const body: Body = JSON.parse(new TextDecoder().decode(spliced));
        expect(stopsAfter(path, body)).toBeLessThanOrEqual(outputTokens);

        const before: Body = JSON.parse(text);
        for (const key of rewrite.changed) {
          const was = before[key];
          if (typeof was === 'number' && was >= 0) expect(body[key]).toBeLessThan(was);
        }
        const untouched = [...request.object.members.keys()].filter(
          (key) => !rewrite.changed.includes(key),
        );
        for (const key of untouched) {
          expect(memberJson(spliced, memberOf(after, key))).toBe(
            memberJson(request.body, memberOf(request.object, key)),
          );
        }
        expect([...after.members.keys()].slice(0, request.object.members.size)).toEqual([
          ...request.object.members.keys(),
        ]);
        if (rewrite.edits.length === 0) expect(spliced).toBe(request.body);
      }),
    );
  });

  test('a grant of what was asked holds the engine to it, however it was asked', () => {
    fc.assert(
      fc.property(bodies(name === 'llamacpp'), (text) => {
        const path = text.startsWith('{"messages"') ? CHAT : COMPLETION;
        const request = scannedRequest(path, text);
        const shape = adapter.parse(request, ANY_FACTS);
        if ('invalid' in shape) throw new Error(shape.invalid);
        fc.pre(shape.requestedOutputTokens !== null);
        const grant = { outputTokens: null, sampling: {} };
        const { edits } = adapter.rewrite(request, shape, grant);
        const spliced = splice(request.body, request.object, edits);
        const body: Body = JSON.parse(new TextDecoder().decode(spliced));
        expect(stopsAfter(path, body)).toBe(shape.requestedOutputTokens);
      }),
    );
  });
});
