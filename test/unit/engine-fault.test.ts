/** Which of an engine's failures are signs that it was given too much. */
import { expect, test } from '@jest/globals';
import type { ErrorClass } from '../../backend-adapters/adapter.ts';
import { engineFault } from '../../proxy/http/engine-fault.ts';

test.each<[ErrorClass, string | null]>([
  ['oom', 'oom'],
  ['dying', 'death'],
  ['overflow', 'overflow'],
  ['fault', null],
  ['busy', null],
  ['loading', null],
  ['client', null],
  ['too-long', null],
])('%s is a sign of: %s', (kind, overrun) => {
  expect(engineFault(kind, 'words').overrun).toBe(overrun);
});
