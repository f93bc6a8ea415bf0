/** kvgate's own counts against those that others published or made. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { decode } from 'gpt-tokenizer/encoding/o200k_harmony';
import { o200k } from '../../proxy/tokens/o200k.ts';
import { PromptParts } from '../../proxy/tokens/printing/prompt-parts.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { TEXT_KINDS } from '../support/text-kinds.ts';

const FIXTURES = 'test/fixtures/tokens';
const NEVER = Number.POSITIVE_INFINITY;

function fixture<T>(name: string): Readonly<Record<string, T>> {
  return JSON.parse(readFileSync(`${FIXTURES}/${name}`, 'utf8'));
}

function exact(text: string): number {
  const { lo, hi } = o200k.count(text, NEVER);
  expect(lo).toBe(hi);
  return lo;
}

describe('the published vectors of the Harmony format', () => {
  const vectors = Object.entries(fixture<readonly number[]>('harmony-vectors.json'));

  test.each(vectors)('%s', (_name, ids) => {
    const prompt = new PromptParts({ readsSpecials: true }).text(decode(ids));
    expect(prompt.count(o200k, NEVER)).toEqual({
      lo: ids.length,
      expected: ids.length,
      hi: ids.length,
    });
  });

  test('the bar holds', () => {
    const wrong = vectors.filter(([, ids]) => {
      const prompt = new PromptParts({ readsSpecials: true }).text(decode(ids));
      const { lo, hi } = prompt.count(o200k, NEVER);
      return lo !== ids.length || hi !== ids.length;
    });
    expectAccuracy({
      part: 'prompt tokens, own tokenizer',
      bar: '<= 0.1 % off',
      seen: `${wrong.length} of ${vectors.length} vectors differ`,
      against: 'the published vectors of openai/harmony',
      holds: wrong.length === 0,
    });
  });

  test('have the lengths they are known by', () => {
    const lengths = Object.fromEntries(vectors.map(([name, ids]) => [name, ids.length]));
    expect(lengths).toMatchObject({
      simple_convo: 64,
      render_functions_with_parameters: 364,
      browser_tool_only: 463,
    });
  });
});

describe('kinds of text', () => {
  const expected = fixture<number>('text-kinds.json');

  test('are all there', () => {
    expect(TEXT_KINDS.map(({ kind }) => kind)).toEqual(Object.keys(expected));
    expect(TEXT_KINDS.length).toBeGreaterThanOrEqual(25);
  });

  test('the bar holds', () => {
    const offs = TEXT_KINDS.map(({ kind, text }) => {
      const told = expected[kind] ?? Number.NaN;
      return Math.abs(o200k.count(text, NEVER).expected - told) / told;
    });
    const most = Math.max(...offs);
    expectAccuracy({
      part: 'prompt tokens, own tokenizer',
      bar: '<= 0.1 % off',
      seen: `${(100 * most).toFixed(3)} % at most`,
      against: `openai-harmony 0.0.8 on ${offs.length} kinds of text`,
      holds: most <= 0.001,
    });
  });

  test.each(TEXT_KINDS)('$kind', ({ kind, text }) => {
    expect(exact(text)).toBe(expected[kind]);
  });
});

test('what spells a special token is text, unless it is read as one', () => {
  const text = 'a <|start|> b <|end|> c';
  expect(exact(text)).toBeGreaterThan(9);
  expect(new PromptParts({ readsSpecials: true }).text(text).count(o200k, NEVER).hi).toBe(7);
  expect(new PromptParts({ readsSpecials: false }).text(text).count(o200k, NEVER).hi).toBe(
    exact(text),
  );
});

describe('runs that merging would take long for are bounded', () => {
  test.each([
    // Tokens of the whole run, by openai-harmony 0.0.8 where it can count it in time.
    { name: 'blanks', text: ' '.repeat(32_000), tokens: 250 },
    { name: 'a letter', text: 'a'.repeat(20_000), tokens: 2_500 },
    { name: 'Chinese without a full stop', text: '中'.repeat(32_000), tokens: 32_000 },
    { name: 'dots', text: '.'.repeat(1_000_000), tokens: null },
    { name: 'capitals', text: 'A'.repeat(1_000_000), tokens: null },
    { name: 'line breaks', text: '\n'.repeat(1_000_000), tokens: null },
    { name: 'emoji', text: '😀'.repeat(200_000), tokens: null },
  ])('$name', ({ text, tokens }) => {
    const began = performance.now();
    const { lo, expected, hi } = o200k.count(text, NEVER);
    expect(performance.now() - began).toBeLessThan(500);
    expect(lo).toBeGreaterThanOrEqual(Buffer.byteLength(text) / 128);
    expect(hi).toBeLessThanOrEqual(Buffer.byteLength(text));
    expect(lo).toBeLessThanOrEqual(expected);
    expect(expected).toBeLessThanOrEqual(hi);
    if (tokens === null) return;
    expect(lo).toBeLessThanOrEqual(tokens);
    expect(hi).toBeGreaterThanOrEqual(tokens);
    expect(Math.abs(expected - tokens) / tokens).toBeLessThan(0.05);
  });

  test('and the text around them is counted exactly', () => {
    const { lo, hi } = o200k.count(`one two\n${'中'.repeat(2_000)}. three four`, NEVER);
    const run = o200k.count('中'.repeat(2_000), NEVER);
    expect(lo - run.lo).toBe(exact('one two\n') + exact('. three four'));
    expect(hi - run.hi).toBe(lo - run.lo);
  });
});

test('white space that the standards do not agree on is bounded', () => {
  const { lo, expected, hi } = o200k.count('a\u0085b \ufeff c', NEVER);
  expect(lo).toBeLessThan(expected);
  expect(hi).toBeGreaterThan(expected);
});

test('gives up at its deadline', () => {
  const text = TEXT_KINDS.map((kind) => kind.text).join('\n');
  expect(() => o200k.count(text, performance.now() - 1)).toThrow(
    expect.objectContaining({ code: 'count_out_of_time' }),
  );
});
