/** What ended an output, by the limits that were in force. */
import { expect, test } from '@jest/globals';
import { endedBy } from '../../proxy/policy/ended-by.ts';

test.each([
  ['itself below the limit asked', 99, { asked: 100, set: null }, 'itself'],
  ['the limit asked', 100, { asked: 100, set: null }, 'asked_limit'],
  ['a limit below the one asked', 50, { asked: 100, set: 50 }, 'set_limit'],
  ['a limit where none was asked', 50, { asked: null, set: 50 }, 'set_limit'],
  ['itself where there is no limit, however long', 9_999, { asked: null, set: null }, 'itself'],
  ['the end of the context', 10_000, { asked: null, set: null }, 'set_limit'],
  [
    'the end of the context before the limit asked',
    10_000,
    { asked: 20_000, set: null },
    'set_limit',
  ],
] as const)('%s', (_what, outputTokens, limits, end) => {
  expect(endedBy(outputTokens, { ...limits, room: 10_000 })).toBe(end);
});
