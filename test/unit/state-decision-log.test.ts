/** What the decision log tells, and what it never does. */
import { describe, expect, test } from '@jest/globals';
import { DecisionLog } from '../../proxy/state/decision-log.ts';
import { readLine } from '../../proxy/state/settled-line.ts';
import { CHAT } from '../support/scanned-request.ts';
import { settledRequest } from '../support/settled-request.ts';
import { admissionRequest, stateWorld } from '../support/state-world.ts';

const NEVER = new AbortController().signal;

function writing(log: DecisionLog) {
  const lines: string[] = [];
  log.writeTo({ write: (line) => void lines.push(line) });
  return () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('decisions', () => {
  const session = { key: 'tenant-hash:secret-key', id: 'secret-session' };

  test('one that was admitted, with what it would take to decide again', async () => {
    const world = stateWorld();
    const told = writing(world.decisionLog);
    const shape = { model: 'm', reasoningEffort: 'low', hasTools: true, temperature: 0.5 } as const;
    await world.admission.admit(admissionRequest({ id: 'r1', session, shape }), NEVER);
    expect(told()).toEqual([
      {
        v: 1,
        type: 'decision',
        timeMs: 1_000_000,
        arrivedMs: 1_000_000,
        request: 'r1',
        action: 'accept',
        reason: 'fits',
        observed: false,
        level: 'low',
        pool: 'default',
        instance: 'a',
        path: CHAT,
        kind: 'chat',
        model: 'm',
        effort: 'low',
        tools: true,
        responseFormat: false,
        stream: true,
        temperature: 0.5,
        topP: null,
        prompts: 1,
        samplesPerPrompt: 1,
        inSession: true,
        neverDegrade: false,
        promptTokens: { lo: 1_000, expected: 1_000, hi: 1_000, source: 'engine' },
        decidedTokens: 1_000,
        forecast: null,
        maxTokensAsked: 1_000,
        maxTokensGranted: null,
        reservedOutputTokens: 1_000,
        kvBytes: expect.anything(),
        naiveBytes: expect.anything(),
        peakUnits: 2_000,
        finalUnits: 2_000,
        predictedWaitMs: null,
        retryAfterMs: null,
      },
    ]);
    expect(JSON.stringify(told())).not.toContain('secret');
  });

  test('one that waits, and what comes of it when it has', async () => {
    const world = stateWorld();
    const other = world.take('a', 9_000, 500);
    const told = writing(world.decisionLog);
    const waits = world.admission.admit(
      admissionRequest({ id: 'r1', shape: { hasTools: true } }),
      NEVER,
    );
    world.clock.advance(3_000);
    other.end();
    await waits;
    expect(told()).toMatchObject([
      { request: 'r1', action: 'queue', timeMs: 1_000_000, arrivedMs: 1_000_000 },
      { request: 'r1', action: 'accept', timeMs: 1_003_000, arrivedMs: 1_000_000 },
    ]);
  });

  test('one that was refused', async () => {
    const world = stateWorld();
    const told = writing(world.decisionLog);
    const shape = { promptTokens: { lo: 1, expected: 9, hi: 50_000, source: 'media' } } as const;
    await world.admission.admit(admissionRequest({ shape }), NEVER);
    expect(told()).toMatchObject([
      { action: 'reject', reason: 'never_fits', pool: null, instance: null, decidedTokens: 50_000 },
    ]);
  });

  test('one that was only observed', async () => {
    const world = stateWorld({ mode: 'observe' });
    world.take('a', 9_000, 500);
    const told = writing(world.decisionLog);
    await world.admission.admit(admissionRequest(), NEVER);
    expect(told()).toMatchObject([{ observed: true }]);
  });

  test('a dry run is none', async () => {
    const world = stateWorld();
    const told = writing(world.decisionLog);
    await world.admission.explain(admissionRequest(), NEVER);
    expect(told()).toEqual([]);
  });
});

describe('answers', () => {
  const lineOf = (change: Parameters<typeof settledRequest>[0] = {}) => {
    const log = new DecisionLog(() => 5_000);
    const told = writing(log);
    log.settled(settledRequest(change));
    return told()[0] ?? {};
  };

  test('what was estimated, and what it came to', () => {
    expect(lineOf()).toMatchObject({
      type: 'settled',
      timeMs: 5_000,
      request: 'request-1',
      instance: 'a',
      promptTokensTold: 1_010,
      promptErrorTokens: -10,
      forecast: { q50Tokens: 80, q95Tokens: 200, q99Tokens: 300 },
      outputTokens: 100,
      endedBy: 'itself',
      ttftMs: 12,
      totalMs: 1_235,
    });
  });

  test('an engine that does not tell has no error', () => {
    const told = { promptTokens: null, cachedTokens: null };
    expect(lineOf({ told })).toMatchObject({ promptTokensTold: null, promptErrorTokens: null });
  });

  test('can be learned from as they were learned from at the time', () => {
    const { request: _request, ...line } = lineOf({ endedBy: 'set_limit' });
    expect(readLine(JSON.stringify(line))).toEqual({
      is: 'answer',
      key: expect.objectContaining({ kind: JSON.stringify(['m', CHAT, 'high', true]) }),
      outcome: { outputTokens: 100, endedBy: 'set_limit', forecastQ95Tokens: null },
    });
  });

  test.each<[string, object]>([
    ['of several sequences', { samplesPerPrompt: 2 }],
    ['of an embedding', { kind: 'embedding' }],
    ['without output', { outputTokens: 0 }],
    ['a decision', { type: 'decision' }],
    ['what was dropped', { type: 'dropped' }],
  ])('%s tells no length', (_what, change) => {
    expect(readLine(JSON.stringify({ ...lineOf(), ...change }))).toEqual({ is: 'other' });
  });

  test.each<[object | string, string]>([
    ['{"v":1', 'is no JSON object'],
    ['7', 'is no JSON object'],
    [{ v: 2 }, 'v is not 1'],
    [{ type: 'x' }, 'type'],
    [{ path: null }, 'path'],
    [{ model: 5 }, 'model'],
    [{ tools: 1 }, 'tools'],
    [{ prompts: -1 }, 'prompts'],
    [{ promptTokens: null }, 'promptTokens.expected'],
    [{ promptTokens: { expected: '1' } }, 'promptTokens.expected'],
    [{ outputTokens: 1e300 }, 'outputTokens'],
    [{ endedBy: 'god' }, 'endedBy'],
  ])('%j is bad, and why', (change, why) => {
    const text = typeof change === 'string' ? change : JSON.stringify({ ...lineOf(), ...change });
    expect(readLine(text)).toEqual({ is: 'bad', why: expect.stringContaining(why) });
  });
});

test('nothing is written before there is where to', () => {
  const log = new DecisionLog(() => 0);
  log.settled(settledRequest());
  const told = writing(log);
  log.writeTo(null);
  log.settled(settledRequest());
  expect(told()).toEqual([]);
});
