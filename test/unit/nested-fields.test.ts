/** An object inside a body is read like a body, but no longer one than can be read in one go. */
import { expect, test } from '@jest/globals';
import { openNested } from '../../backend-adapters/nested-fields.ts';
import { CHAT, scannedRequest } from '../support/scanned-request.ts';

function opened(value: unknown) {
  return openNested(scannedRequest(CHAT, { options: value }), 'options');
}

test('a long one is read', () => {
  expect(opened({ grammar: 'g'.repeat(100_000), seed: 1 })).toHaveProperty('object');
});

test('a longer one is refused by its name', () => {
  expect(opened({ grammar: 'g'.repeat(150_000) })).toEqual({
    invalid: 'options must be written in at most 131072 bytes',
    param: 'options',
  });
});
