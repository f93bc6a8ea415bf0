/** What `kvgate replay --set` makes of the settings of a log. */
import { expect, test } from '@jest/globals';
import { replaySettings } from '../../proxy/config/replay-settings.ts';

test('the log goes before the defaults, and --set before the log', () => {
  const told = { 'queue-max': 3, degrade: 'off', 'poll-interval-ms': 50, port: 1 };
  const { logged, changed, problems } = replaySettings(told, ['queue-max=7']);
  expect(problems).toEqual([]);
  expect(logged).toMatchObject({
    'queue-max': 3,
    degrade: 'off',
    'poll-interval-ms': 50,
    port: 9797,
  });
  expect(changed).toEqual({ ...logged, 'queue-max': 7 });
});

test.each<[string[], object]>([
  [['pressure-high=0.87'], { 'pressure-high': 0.87 }],
  [['pressure-high=0.9'], { 'pressure-high': 0.9 }],
  [['pressure-high=0.95'], { 'pressure-high': 0.95, 'pressure-critical': 0.95 }],
  [
    ['pressure-low=0.95'],
    {
      'pressure-low': 0.95,
      'pressure-medium': 0.95,
      'pressure-high': 0.95,
      'pressure-critical': 0.95,
    },
  ],
  [['pressure-high=0.75'], { 'pressure-high': 0.75, 'pressure-medium': 0.75 }],
  [
    ['pressure-high=0.95', 'pressure-critical=0.97'],
    { 'pressure-high': 0.95, 'pressure-critical': 0.97 },
  ],
  [['admission-order=route', 'queue'], { 'admission-order': ['route', 'queue'] }],
])('%j', (sets, set) => {
  const settings = replaySettings({}, sets);
  expect([settings.set, settings.problems]).toEqual([set, []]);
  expect(settings.changed).toEqual({ ...settings.logged, ...set });
});

test.each<[string[], string, string]>([
  [
    ['pressure-high=0.9', 'pressure-critical=0.8'],
    'pressure-critical',
    'must be above pressure-high',
  ],
  [['hysteresis=0.5', 'pressure-low=0.4'], 'hysteresis', 'must be below pressure-low'],
  [['pressure-hihg=1'], 'pressure-hihg', 'did you mean pressure-high?'],
  [['=1'], '', 'unknown option'],
  [['state-dir=/x'], 'state-dir', 'Memory and Admission groups'],
  [['queue-max='], 'queue-max', 'must be a whole number'],
])('%j is refused', (sets, field, message) => {
  expect(replaySettings({}, sets).problems).toEqual([
    { field, source: '--set', message: expect.stringContaining(message) },
  ]);
});

test("a bad value in the log is told as the log's", () => {
  expect(replaySettings({ 'queue-max': 'x' }, []).problems).toMatchObject([
    { field: 'queue-max', source: 'the log' },
  ]);
});
