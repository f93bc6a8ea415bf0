/** The lines of a decision log as `kvgate replay` reads them, and what it makes of them. */
import { describe, expect, test } from '@jest/globals';
import { loggedLine } from '../../proxy/simulate/replay/logged-line.ts';
import { LoggedTraffic } from '../../proxy/simulate/replay/logged-traffic.ts';
import { replayRequests } from '../../proxy/simulate/replay/replay-request.ts';
import { DecisionLog } from '../../proxy/state/decision-log.ts';
import { settledRequest } from '../support/settled-request.ts';
import { admissionRequest, stateWorld } from '../support/state-world.ts';

const NEVER = new AbortController().signal;
const INSTANCE = {
  instance: 'a',
  pool: 'default',
  large: false,
  memoryModel: 'slots',
  layout: {
    model: 'slots',
    spec: null,
    kvBytesPerElement: 2,
    unified: true,
    slots: 2,
    contextTokens: 4_096,
  },
  capacityUnits: 4_096,
  capacityState: 'known',
  maxSequences: 2,
  gpuTotalBytes: null,
} as const;

/** A line of each type, as a gate writes it. */
async function linesOfAll(): Promise<Record<string, object>> {
  const world = stateWorld();
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  world.decisionLog.writeTo(sink);
  await world.admission.admit(admissionRequest({ id: 'r1' }), NEVER);
  const log = new DecisionLog(() => 2_000);
  log.writeTo(sink);
  log.settled(settledRequest());
  log.settings({ 'queue-max': 3 });
  log.instance(INSTANCE);
  const parsed = lines.map((line) => JSON.parse(line) as { type: string });
  return Object.fromEntries(parsed.map((line) => [line.type, line]));
}

const lines = await linesOfAll();
const read = (type: string, change: object = {}) =>
  loggedLine(JSON.stringify({ ...lines[type], ...change }));

test('each type is read as it was written', () => {
  expect(read('decision')).toMatchObject({
    is: 'decision',
    request: 'r1',
    action: 'accept',
    arrivedMs: 1_000_000,
    shape: { requestedOutputTokens: 1_000, promptTokens: { hi: 1_000 }, stream: true },
  });
  expect(read('settled')).toMatchObject({ is: 'settled', promptTokensTold: 1_010, totalMs: 1_235 });
  expect(read('settings')).toEqual({ is: 'settings', values: { 'queue-max': 3 } });
  expect(read('instance')).toMatchObject({ is: 'instance', layout: INSTANCE.layout });
  expect(loggedLine('{"v":1,"type":"dropped","timeMs":1,"lines":2}')).toEqual({ is: 'other' });
});

describe('a bad line is told by its field', () => {
  test.each<[string, object, string]>([
    ['decision', { v: 2 }, 'v is not 1'],
    ['decision', { type: 'x' }, 'type is none'],
    ['decision', { request: 5 }, 'request is no text'],
    ['decision', { arrivedMs: -1 }, 'arrivedMs is no count'],
    ['decision', { arrivedMs: 0, timeMs: 1e12 }, 'arrivedMs is more than a day'],
    ['decision', { action: 'drop' }, 'action is not known'],
    ['decision', { stream: 1 }, 'stream is neither'],
    ['decision', { prompts: 0 }, 'prompts is no count'],
    ['decision', { promptTokens: { lo: 1 } }, 'promptTokens.hi is no count'],
    ['decision', { promptTokens: { lo: 5, hi: 1, expected: 1 } }, 'promptTokens.hi is below lo'],
    ['decision', { forecast: { q50Tokens: 'x' } }, 'forecast.q50Tokens is no count'],
    ['settled', { outputTokens: 1e300 }, 'outputTokens is no count'],
    ['settled', { totalMs: 1e12 }, 'totalMs is more than a day'],
    ['settled', { endedBy: 'god' }, 'endedBy is not known'],
    ['settings', { values: [1] }, 'values is no JSON object'],
    ['instance', { memoryModel: 'heap' }, 'memoryModel is not known'],
    ['instance', { layout: { ...INSTANCE.layout, model: 'paged' } }, 'layout.model'],
    ['instance', { layout: { model: 'slots' } }, 'layout is not complete'],
    ['instance', { capacityUnits: 'all' }, 'capacityUnits is no count'],
  ])('%s %j', (type, change, why) => {
    expect(read(type, change)).toEqual({ is: 'bad', why: expect.stringContaining(why) });
  });

  test.each(['', '7', '[]', '{"v":1', 'null'])('%j is no JSON object', (line) => {
    expect(loggedLine(line)).toEqual({ is: 'bad', why: 'is no JSON object' });
  });
});

describe('requests', () => {
  const traffic = (...all: ReturnType<typeof loggedLine>[]) => {
    const made = new LoggedTraffic();
    for (const line of all) made.add(line);
    return made;
  };
  const forecast = { q50Tokens: 70, q95Tokens: 90, q99Tokens: 95 };

  test('one that ran is as long as it was, and takes as long', () => {
    const { requests } = traffic(read('decision'), read('settled', { request: 'r1' }));
    expect(replayRequests(requests)).toMatchObject([
      { promptTokens: 1_010, outputTokens: 100, ttftMs: 12, totalMs: 1_235, length: 'known' },
    ]);
  });

  test('one that kvgate cut is known to be so', () => {
    const end = read('settled', { request: 'r1', endedBy: 'set_limit' });
    expect(replayRequests(traffic(read('decision'), end).requests)).toMatchObject([
      { length: 'cut' },
    ]);
  });

  test.each<[string, object, number]>([
    ['its forecast', { forecast }, 70],
    ['its forecast within what it asked for', { forecast, maxTokensAsked: 50 }, 50],
    ['the median of the log', { forecast: null }, 100],
  ])('one that was refused is guessed: %s', (_what, change, outputTokens) => {
    const refused = { request: 'r2', action: 'reject', reason: 'queue_full', timeMs: 1_000_500 };
    const { requests } = traffic(
      read('decision'),
      read('settled', { request: 'r1' }),
      read('decision', { ...refused, arrivedMs: 1_000_400, ...change }),
    );
    expect(replayRequests(requests)[1]).toMatchObject({
      ...{ atMs: 1_400, outputTokens, length: 'guessed' },
      logged: { outcome: 'refused', reason: 'queue_full', waitedMs: 100 },
    });
  });

  test('no guess is longer than a request can take', () => {
    const long = { request: 'r2', forecast: { q50Tokens: 2 ** 53 }, maxTokensAsked: null };
    const { requests } = traffic(
      read('decision'),
      read('settled', { request: 'r1' }),
      read('decision', long),
    );
    expect(replayRequests(requests)[1]).toMatchObject({ totalMs: 86_400_000, length: 'guessed' });
  });

  test('one that waited has come when it came, and one that was observed has run', () => {
    const waits = read('decision', { action: 'queue', reason: 'short_wait' });
    const goes = read('decision', { timeMs: 1_000_300 });
    const observed = read('decision', { request: 'r2', action: 'reject', observed: true });
    const [first, second] = replayRequests(traffic(waits, goes, observed).requests);
    expect(first).toMatchObject({
      asked: { action: 'queue' },
      logged: { outcome: 'admitted', waitedMs: 300 },
    });
    expect(second).toMatchObject({ asked: { action: 'reject' }, logged: { outcome: 'admitted' } });
  });

  test('settings told again are no change', () => {
    const again = traffic(read('settings'), read('settings'));
    expect([again.settingsChanges, again.settings]).toEqual([0, { 'queue-max': 3 }]);
    again.add(read('settings', { values: { 'queue-max': 4 } }));
    expect([again.settingsChanges, again.settings]).toEqual([1, { 'queue-max': 4 }]);
  });
});
