/** What a session may hold, holds, and keeps. */
import { describe, expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { DynamicLayout, KvLayout } from '../../proxy/memory/kv-layout.ts';
import {
  judgeSession,
  residentKvBytes,
  type SessionVerdict,
  sessionKvBytes,
} from '../../proxy/policy/session-rules.ts';
import type { SessionView } from '../../proxy/policy/types.ts';
import { FOUR_BYTE_MODEL, PAGED, UNIFIED } from '../support/decision.ts';

const session = (liveBytes: number, residentBytes: number): SessionView => ({
  liveBytes,
  residentBytes,
});

test.each<[string, SessionView | null, number | null, SessionVerdict]>([
  ['no session', null, 999, 'within'],
  ['a geometry that is not known', session(999, 999), null, 'within'],
  ['at the limit', session(0, 0), 100, 'within'],
  ['alone over it', session(0, 0), 101, 'alone_over'],
  ['alone over it, live requests or not', session(50, 0), 101, 'alone_over'],
  ['at the limit with its live requests', session(60, 0), 40, 'within'],
  ['over it because of them', session(61, 0), 40, 'busy'],
  ['resident bytes are the prefix of what comes', session(0, 100), 100, 'within'],
  ['resident bytes beyond the limit can go', session(0, 500), 1, 'within'],
])('judgeSession: %s', (_what, view, kvBytes, verdict) => {
  expect(judgeSession(view, kvBytes, 100)).toBe(verdict);
});

test('a session holds the union of what is live and what is resident', () => {
  expect(sessionKvBytes(session(30, 20))).toBe(30);
  expect(sessionKvBytes(session(20, 30))).toBe(30);
});

describe('residentKvBytes', () => {
  const dynamic: DynamicLayout = {
    model: 'dynamic',
    spec: FOUR_BYTE_MODEL,
    kvBytesPerElement: 2,
    attention: 'flash',
  };
  test.each<[string, KvLayout, number, number]>([
    ['slots keep prompt and output', UNIFIED, 50, 600],
    ['blocks keep them too', PAGED, 50, 600],
    ['never more than was charged', UNIFIED, 5_000, 800],
    ['a dynamic server frees them', dynamic, 50, 0],
    ['unknown geometry', { ...UNIFIED, spec: null }, 50, 0],
  ])('%s', (_what, layout, generatedTokens, bytes) => {
    // 100 prompt and 100 output tokens of 4 bytes.
    const charge = chargeOf(layout, 100, 100, 1, 1);
    expect(residentKvBytes(layout, charge, generatedTokens)).toBe(bytes);
  });
});
