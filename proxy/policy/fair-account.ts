/**
 * What a tenant, or a class, owes the others who wait. A request that is served
 * is owed for; each round forgives everybody the same. Who owes least is next.
 */

export interface Account {
  /** KV-byte-seconds, over the weight of its owner. Never below 0: nobody saves anything up. */
  readonly debt: number;
  /** The most that one request has cost it. */
  readonly largestCost: number;
}

/**
 * Nobody owes more than so many of its own largest requests: one that was
 * mistaken a hundred times over is behind for a while, and not for good.
 */
export const MAX_DEBT_REQUESTS = 8;

const NOTHING: Account = { debt: 0, largestCost: 0 };

/** @param account undefined: owes nothing yet */
export function charged(account: Account | undefined, cost: number): Account {
  return corrected(account, cost, cost);
}

/**
 * Once it is known what a request really held.
 * @param difference that cost less what was charged before; may be below 0
 */
export function corrected(account: Account | undefined, difference: number, cost: number): Account {
  const { debt, largestCost } = account ?? NOTHING;
  const largest = Math.max(largestCost, cost);
  return {
    debt: Math.min(Math.max(0, debt + difference), MAX_DEBT_REQUESTS * largest),
    largestCost: largest,
  };
}

/** The least that anybody who waits owes: what the next round forgives, so that somebody owes nothing. */
export function nextRound(debts: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const debt of debts) least = Math.min(least, debt);
  return Number.isFinite(least) ? least : 0;
}
