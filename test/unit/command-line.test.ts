import { expect, test } from '@jest/globals';
import { flagInteger, flagSwitch, flagValue } from '../../backend-adapters/command-line.ts';

const NAMES = ['-c', '--ctx-size'];

test.each([
  [['-c', '10'], '10'],
  [['--ctx-size=10'], '10'],
  [['-c', '10', '--ctx-size', '20'], '20'],
  [['--other', '10'], null],
  [['-c'], null],
])('%j gives %p', (args, value) => {
  expect(flagValue(args, NAMES)).toBe(value);
});

test.each([
  [['-c', '10'], 10],
  [['-c', '-1'], -1],
  [['-c', '1.5'], null],
  [['-c', 'ten'], null],
  [[], null],
])('%j gives the number %p', (args, value) => {
  expect(flagInteger(args, NAMES)).toBe(value);
});

test.each([
  [['--on'], true],
  [['--off'], false],
  [['--off', '--on'], true],
  [[], null],
])('%j switches %p', (args, value) => {
  expect(flagSwitch(args, ['--on'], ['--off'])).toBe(value);
});
