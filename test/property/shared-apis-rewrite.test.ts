/**
 * Responses and Messages: whatever a body asks for, it leaves with no limit
 * raised, within its grant, and with nothing else changed. Bodies without
 * output leave as they came.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { memberJson, splice } from '../../proxy/json/splice.ts';
import { routesOfKind } from '../support/engine-routes.ts';
import { memberOf, scanObject } from '../support/scan-json.ts';
import { ANY_FACTS, scannedRequest } from '../support/scanned-request.ts';

type Body = Readonly<Record<string, unknown>>;

const FIRST_OF: Readonly<Record<string, readonly string[]>> = {
  'llamacpp responses': ['n_predict', 'max_completion_tokens', 'max_output_tokens'],
  responses: ['max_output_tokens'],
  messages: ['max_tokens'],
};

/** Tokens after which the engine stops, by its own precedence of names. */
function stopsAfter(name: string, kind: string, body: Body): number {
  const names = FIRST_OF[`${name} ${kind}`] ?? FIRST_OF[kind] ?? [];
  const first = names.map((field) => body[field] ?? null).find((value) => value !== null);
  if (first === undefined && name === 'transformers') return 1024;
  return first === undefined || first === -1 ? Number.POSITIVE_INFINITY : Number(first);
}

const limit = fc.oneof(fc.integer({ min: 1, max: 5000 }).map(String), fc.constant('null'));
const common = {
  metadata: fc.constant('{"x": 12345678901234567890}'),
  stream: fc.constantFrom('true', 'false'),
  temperature: fc.constantFrom('0', '1.0', '0.70'),
  top_p: fc.constantFrom('0.1', '1.0'),
  'unknown ü': fc.constant('{ "a" : [1.0, null] }'),
};
const responses = fc.record(
  {
    ...common,
    input: fc.constantFrom('"a"', '[ {"role":"user","content":"a"} ]'),
    max_output_tokens: limit,
    n_predict: limit,
    max_completion_tokens: limit,
    reasoning: fc.constant('{"effort": "low"}'),
    text: fc.constant('{"format":{"type" : "text"}}'),
  },
  { requiredKeys: ['input'] },
);
const messages = fc.record(
  {
    ...common,
    messages: fc.constant('[{"role":"user", "content":"a"}]'),
    max_tokens: fc.integer({ min: 1, max: 5000 }).map(String),
    n_predict: limit,
    max_completion_tokens: limit,
    thinking: fc
      .integer({ min: -1, max: 6000 })
      .map((budget) => `{ "type":"enabled", "budget\\u005ftokens" : ${budget}, "x":1.0 }`),
  },
  { requiredKeys: ['messages', 'max_tokens'] },
);

const written = (members: Readonly<Record<string, string>>): string =>
  `{${Object.entries(members)
    .map(([key, json]) => `"${key.replace('_', '\\u005f')}" : ${json}`)
    .join(' ,\n')} }`;

const grants = fc.record({
  outputTokens: fc.option(fc.integer({ min: 1, max: 6000 })),
  sampling: fc.record(
    { temperature: fc.constantFrom(0, 0.5), topP: fc.constant(0.9) },
    { requiredKeys: [] },
  ),
});

function budgetOf(body: Body): number {
  const { thinking } = body as { thinking?: { budget_tokens?: number } };
  return thinking?.budget_tokens ?? -1;
}

describe.each([
  ...routesOfKind('responses').map((engine) => ({ ...engine, bodies: responses })),
  ...routesOfKind('messages').map((engine) => ({ ...engine, bodies: messages })),
])('$name $path', ({ name, adapter, route, bodies }) => {
  test('stays within the grant, raises nothing and changes only what it says', () => {
    fc.assert(
      fc.property(bodies, grants, (members, wanted) => {
        const text = written(members);
        const request = scannedRequest(route, text);
        const shape = adapter.parse(request, ANY_FACTS);
        if ('invalid' in shape) throw new Error(shape.invalid);
        const before: Body = JSON.parse(text);
        const asked = stopsAfter(name, route.kind, before);
        expect(shape.requestedOutputTokens ?? Number.POSITIVE_INFINITY).toBe(asked);

        const { sampling } = wanted;
        const outputTokens =
          wanted.outputTokens === null ? null : Math.min(wanted.outputTokens, asked);
        const rewrite = adapter.rewrite(request, shape, { outputTokens, sampling });
        const spliced = splice(request.body, request.object, rewrite.edits);
        const after: Body = JSON.parse(new TextDecoder().decode(spliced));
        expect(stopsAfter(name, route.kind, after)).toBeLessThanOrEqual(outputTokens ?? asked);
        expect(budgetOf(after)).toBeLessThanOrEqual(budgetOf(before));
        if (outputTokens !== null && outputTokens < asked) {
          expect(budgetOf(after)).toBeLessThan(outputTokens);
        }
        for (const key of rewrite.changed) {
          const was = before[key];
          if (typeof was === 'number') expect(after[key]).toBeLessThan(was);
        }
        expect(rewrite.asksForUsage).toBe(false);

        const scanned = scanObject(spliced);
        for (const [key, member] of request.object.members) {
          if (rewrite.changed.includes(key)) continue;
          expect(memberJson(spliced, memberOf(scanned, key))).toBe(
            memberJson(request.body, member),
          );
        }
        const added = [...scanned.members.keys()].slice(request.object.members.size);
        expect(rewrite.changed).toEqual(expect.arrayContaining(added));
        if (rewrite.edits.length === 0) expect(spliced).toBe(request.body);
      }),
    );
  });
});

describe.each([...routesOfKind('embedding'), ...routesOfKind('ranking')])(
  '$name $path',
  ({ adapter, route }) => {
    test('leaves as it came', () => {
      const texts = fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 1 }));
      fc.assert(
        fc.property(texts, grants, (documents, { sampling }) => {
          const sides = { query: 'q', documents };
          const body = route.kind === 'embedding' ? { input: documents } : sides;
          const request = scannedRequest(route, body);
          const shape = adapter.parse(request, ANY_FACTS);
          if ('invalid' in shape) throw new Error(shape.invalid);
          expect(shape.requestedOutputTokens).toBe(0);
          expect(shape.prompts).toBe(Array.isArray(documents) ? documents.length : 1);
          const grant = { outputTokens: null, sampling };
          expect(adapter.rewrite(request, shape, grant).edits).toEqual([]);
        }),
      );
    });
  },
);
