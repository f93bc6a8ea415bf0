/** A request that is changed differs in the changed values alone, and says so. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { ANSWER, answerJson, beginStream } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

const BEFORE =
  '{ "seed":18446744073709551615, "temperature":1.0,"messages" :[{"role":"user","content":"hi"}]';

describe('a missing max_tokens where overflow hurts others', () => {
  test('is added before the closing brace', async () => {
    stub = await startGuardedStub({ 'kv-layout': 'unified' }, { contextTokens: 8192 });
    const answer = await stub.post(`${BEFORE} , "x":1.0\n} \n`);
    const granted = /^requested=none; granted=(\d+)$/.exec(
      answer.headers.get('x-kvgate-max-tokens') ?? '',
    )?.[1];
    expect(Number(granted)).toBeGreaterThan(256);
    expect(answer.headers.get('x-kvgate-changed')).toBe('max_tokens');
    expect(stub.backend.received[0]?.body().toString()).toBe(
      `${BEFORE} , "x":1.0\n,"max_tokens":${granted}} \n`,
    );
  });

  test('is not added under --mode observe', async () => {
    stub = await startGuardedStub({ 'kv-layout': 'unified', mode: 'observe' });
    const body = `${BEFORE} }`;
    const answer = await stub.post(body);
    expect(answer.headers.has('x-kvgate-changed')).toBe(false);
    expect(stub.backend.received[0]?.body().toString()).toBe(body);
  });
});

test('a shrink changes the limit alone', async () => {
  stub = await startGuardedStub(
    { 'kv-layout': 'unified', degrade: 'off', 'admission-order': ['shrink'] },
    { contextTokens: 10_000 },
  );
  stub.backend.answerWith(beginStream(': waiting\n\n', () => {}));
  await stub.post(`${BEFORE},"stream":true,"max_tokens":5000}`);
  stub.backend.answerWith(answerJson(200, ANSWER));
  const answer = await stub.post(`${BEFORE},"max_tokens":6000 }`);
  const granted = /^requested=6000; granted=(\d+)$/.exec(
    answer.headers.get('x-kvgate-max-tokens') ?? '',
  )?.[1];
  expect(answer.headers.get('x-kvgate-decision')).toBe('shrink');
  expect(Number(granted)).toBeGreaterThanOrEqual(3000);
  expect(Number(granted)).toBeLessThan(5000);
  expect(stub.backend.received[1]?.body().toString()).toBe(`${BEFORE},"max_tokens":${granted} }`);
});

describe('a level', () => {
  const POOL_TOKENS = 10_000;
  /** A pool filled to 12 % is at medium, at 30 % at critical. */
  const flags = {
    'kv-layout': 'unified',
    'pool-pressure-medium': 0.11,
    'pool-pressure-high': 0.2,
    'pool-pressure-critical': 0.25,
    'pool-pressure-emergency': 0.9,
    'min-output-tokens': 1,
  };

  async function withPoolFilledTo(tokens: number, more: Record<string, string>): Promise<void> {
    stub = await startGuardedStub({ ...flags, ...more }, { contextTokens: POOL_TOKENS });
    stub.backend.answerWith(beginStream(': waiting\n\n', () => {}));
    await stub.post(`${BEFORE},"stream":true,"max_tokens":${tokens}}`);
    stub.backend.answerWith(answerJson(200, ANSWER));
  }

  test('changes the values it lowers, wherever they stand', async () => {
    await withPoolFilledTo(3000, {});
    const answer = await stub.post(`${BEFORE}, "max_tokens" : 1e2 ,"top_p":1.0}`);
    expect(answer.headers.get('x-kvgate-level')).toBe('critical');
    expect(answer.headers.get('x-kvgate-max-tokens')).toBe('requested=100; granted=50');
    expect(answer.headers.get('x-kvgate-changed')?.split(', ').sort()).toEqual([
      'max_tokens',
      'temperature',
    ]);
    const changed = `${BEFORE}, "max_tokens" : 50 ,"top_p":1.0}`.replace(
      '"temperature":1.0',
      '"temperature":0',
    );
    expect(stub.backend.received[1]?.body().toString()).toBe(changed);
  });

  test('adds a value that was not named', async () => {
    await withPoolFilledTo(1200, {});
    const answer = await stub.post(`${BEFORE},"max_tokens":100}`);
    expect(answer.headers.get('x-kvgate-level')).toBe('medium');
    expect(stub.backend.received[1]?.body().toString()).toBe(
      `${BEFORE},"max_tokens":90,"top_p":0.9}`,
    );
  });

  test.each([
    ['x-kvgate-degrade: never', { 'x-kvgate-degrade': 'never' }, {}],
    ['--degrade off', {}, { degrade: 'off' }],
    ['--mode observe', {}, { mode: 'observe' }],
  ])('changes nothing with %s', async (_name, headers, more) => {
    await withPoolFilledTo(3000, more);
    const body = `${BEFORE},"max_tokens":100}`;
    const answer = await stub.post(body, headers);
    expect(answer.headers.has('x-kvgate-changed')).toBe(false);
    expect(stub.backend.received[1]?.body().toString()).toBe(body);
  });
});
