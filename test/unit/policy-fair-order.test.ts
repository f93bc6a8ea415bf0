/** Whose turn it is, who owes what, and who leaves a full queue. */
import { describe, expect, test } from '@jest/globals';
import { toDisplace } from '../../proxy/policy/displacement.ts';
import {
  type Account,
  charged,
  corrected,
  MAX_DEBT_REQUESTS,
  nextRound,
} from '../../proxy/policy/fair-account.ts';
import { fairOrder, fairPosition, type Turn } from '../../proxy/policy/fair-order.ts';
import { heldCost, likelyTokens } from '../../proxy/policy/held-cost.ts';
import { heldPriority, priorityNamed } from '../../proxy/policy/priority.ts';
import type { Charge, Priority } from '../../proxy/policy/types.ts';

interface Named extends Turn {
  readonly name: string;
}

/** `a1:3` is the first of tenant a, of cost 3; `high/a1:3` is of another class than normal. */
function turn(text: string): Named {
  const [, priority = 'normal', name = '', cost = '1'] =
    /^(?:(high|normal|low)\/)?(\w+)(?::([\d.]+))?$/.exec(text) ?? [];
  return { name, tenant: name[0] ?? '', priority: priority as Priority, cost: Number(cost) };
}

function debts(tenants: Readonly<Record<string, number>> = {}, classes: object = {}) {
  return {
    ofClass: (priority: Priority) => new Map(Object.entries(classes)).get(priority) ?? 0,
    ofTenant: (_priority: Priority, tenant: string) => tenants[tenant] ?? 0,
  };
}

function names(order: readonly Named[]): string {
  return order.map(({ name }) => name).join(' ');
}

describe('order', () => {
  test.each<[what: string, waiting: string, order: string, owed?: Record<string, number>]>([
    ['one tenant: first come, first served', 'a1 a2 a3', 'a1 a2 a3'],
    ['tenants take turns, whoever came first', 'a1 a2 a3 b1 c1 b2', 'a1 b1 c1 a2 b2 a3'],
    ['a large one uses up several turns', 'a1:3 a2 b1 b2 b3 b4', 'a1 b1 b2 b3 a2 b4'],
    ['who owes waits for the others', 'a1 b1 b2 b3', 'b1 b2 a1 b3', { a: 1.5 }],
    [
      'who owes as much as another has in line comes first if it came first',
      'a1 b1 b2',
      'b1 a1 b2',
      { a: 1 },
    ],
  ])('%s', (_what, waiting, order, owed = {}) => {
    expect(names(fairOrder(waiting.split(' ').map(turn), debts(owed)))).toBe(order);
  });

  test('classes share by weight, and the lowest is not left out', () => {
    const waiting = ['high', 'normal', 'low'].flatMap((priority) =>
      Array.from({ length: 26 }, (_, index) => turn(`${priority}/${priority[0]}${index}`)),
    );
    const first = fairOrder(waiting, debts()).slice(0, 26);
    const served = (priority: Priority) =>
      first.filter((each) => each.priority === priority).length;
    expect([served('high'), served('normal'), served('low')]).toEqual([18, 6, 2]);
    expect(first[0]?.priority).toBe('high');
  });

  test('a class that owes waits for the others', () => {
    const order = fairOrder(['high/h1', 'low/l1'].map(turn), debts({}, { high: 0.5 }));
    expect(names(order)).toBe('l1 h1');
  });

  test.each<[newcomer: string, position: number, owed?: Record<string, number>]>([
    ['a9', 6],
    ['b9', 5],
    ['c9', 2],
    ['c9', 4, { c: 1.5 }],
    ['high/c9', 0],
    ['low/c9', 1],
  ])('%s would come after %d of those who wait', (newcomer, position, owed = {}) => {
    const waiting = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2'].map(turn);
    expect(fairPosition(waiting, turn(newcomer), debts(owed))).toBe(position);
  });
});

describe('accounts', () => {
  const owing = (debt: number, largestCost = 10): Account => ({ debt, largestCost });

  test('what is served is owed', () => {
    expect(charged(undefined, 4)).toEqual({ debt: 4, largestCost: 4 });
    expect(charged(owing(3), 4)).toEqual({ debt: 7, largestCost: 10 });
  });

  test.each([
    ['more was held than predicted', owing(5), 20, 25, 30],
    ['less was held: some is forgiven', owing(5), -3, 2, 2],
    ['nothing is saved up', owing(5), -30, 0, 1],
    ['a debt has a limit', owing(5), 10_000, MAX_DEBT_REQUESTS * 200, 200],
  ])('%s', (_what, account, difference, debt, cost) => {
    expect(corrected(account, difference, cost).debt).toBe(debt);
  });

  test('a round forgives the least that is owed', () => {
    expect(nextRound([3, 1, 2])).toBe(1);
    expect(nextRound([])).toBe(0);
  });
});

describe('cost', () => {
  const charge: Charge = {
    prompts: 1,
    sequences: 1,
    promptTokens: 1_000,
    outputTokens: 1_000,
    prefillUnits: 0,
    finalUnits: 0,
    peakUnits: 0,
    kvBytes: 2_000_000_000,
    naiveBytes: null,
  };

  test('KV bytes at its end, for as long as it holds them', () => {
    expect(heldCost(charge, 1_000, 2_000)).toBe(4_000_000_000);
  });

  test('of less output in proportion, of more than it may have no more', () => {
    expect(heldCost(charge, 0, 2_000)).toBe(2_000_000_000);
    expect(heldCost(charge, 9_000, 2_000)).toBe(4_000_000_000);
  });

  test('what is unknown is taken from the tokens', () => {
    const bytes = 2_000 * 128 * 1024;
    expect(heldCost({ ...charge, kvBytes: null }, 1_000, 2_000)).toBe(bytes * 2);
    expect(heldCost(charge, 1_000, null)).toBeCloseTo(2e9 * 20.2, -3);
  });

  test('nothing is free', () => {
    expect(heldCost({ ...charge, kvBytes: 0 }, 0, 0)).toBeGreaterThan(0);
    const empty = { ...charge, promptTokens: 0, outputTokens: 0 };
    expect(heldCost(empty, 0, 0)).toBeGreaterThan(0);
  });

  test('half of the outputs of its kind are no longer', () => {
    const promptTokens = { lo: 1, expected: 1, hi: 1, source: 'engine' } as const;
    const forecast = { q50Tokens: 300, q95Tokens: 900, q99Tokens: 2_000 };
    expect(likelyTokens(charge, { promptTokens, outputTokens: forecast })).toBe(300);
    expect(likelyTokens(charge, { promptTokens, outputTokens: null })).toBe(1_000);
  });
});

describe('a full queue', () => {
  test.each<[what: string, waiting: string, newcomer: string, leaves: string | null]>([
    ['the newest of the tenant with the most', 'a1 a2 b1 a3', 'b', 'a3'],
    ['for somebody who has none there', 'a1 a2', 'c', 'a2'],
    ['its lowest class first', 'low/a1 a2 low/a3 high/a4', 'b', 'a3'],
    ['nobody for the tenant with the most', 'a1 a2 b1', 'a', null],
    ['nobody where it would then have fewer than the newcomer', 'a1 a2 b1', 'b', null],
    ['nobody of an empty one', '', 'a', null],
  ])('%s', (_what, waiting, newcomer, leaves) => {
    const entries = waiting.split(' ').filter(Boolean).map(turn);
    expect(toDisplace(entries, newcomer)?.name ?? null).toBe(leaves);
  });
});

describe('classes', () => {
  test.each<[claimed: Priority | null, most: Priority, held: Priority]>([
    ['high', 'high', 'high'],
    ['high', 'normal', 'normal'],
    ['high', 'low', 'low'],
    ['low', 'high', 'low'],
    [null, 'high', 'normal'],
    [null, 'low', 'low'],
  ])('claiming %s with leave for %s: %s', (claimed, most, held) => {
    expect(heldPriority(claimed, most)).toBe(held);
  });

  test('have their names in any case', () => {
    expect(['HIGH', 'Normal', 'low', 'higher', ''].map(priorityNamed)).toEqual([
      ...['high', 'normal', 'low', null, null],
    ]);
  });
});
