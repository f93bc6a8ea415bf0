/**
 * What is owed in the line of one pool, by class and by tenant. Only those in
 * debt are remembered, and while nobody waits nobody is: there is nobody to be
 * fair to.
 */
import { type Account, charged, corrected, nextRound } from '../policy/fair-account.ts';
import type { Debts, Turn } from '../policy/fair-order.ts';
import { CLASS_WEIGHTS } from '../policy/priority.ts';
import type { Priority } from '../policy/types.ts';

/** Tenants remembered of one class; beyond it the debt that is oldest is forgiven. */
const MAX_TENANTS = 4_096;

type Accounts<K> = Map<K, Account>;

export class FairAccounts implements Debts {
  readonly #classes: Accounts<Priority> = new Map();
  readonly #tenants: Readonly<Record<Priority, Accounts<string>>> = {
    high: new Map(),
    normal: new Map(),
    low: new Map(),
  };

  ofClass(priority: Priority): number {
    return this.#classes.get(priority)?.debt ?? 0;
  }

  ofTenant(priority: Priority, tenant: string): number {
    return this.#tenants[priority].get(tenant)?.debt ?? 0;
  }

  /** Accounts that are kept. */
  get size(): number {
    const { high, normal, low } = this.#tenants;
    return this.#classes.size + high.size + normal.size + low.size;
  }

  /** The request was served. */
  charge({ priority, tenant, cost }: Turn): void {
    const ofClass = this.#classes.get(priority);
    this.#classes.set(priority, charged(ofClass, cost / CLASS_WEIGHTS[priority]));
    this.#keep(priority, tenant, charged(this.#tenants[priority].get(tenant), cost));
  }

  /** A request that was charged has ended, and really cost this much. */
  trueUp({ priority, tenant, cost: predicted }: Turn, cost: number): void {
    const difference = cost - predicted;
    const weight = CLASS_WEIGHTS[priority];
    const ofClass = this.#classes.get(priority);
    this.#classes.set(priority, corrected(ofClass, difference / weight, cost / weight));
    const account = this.#tenants[priority].get(tenant);
    this.#keep(priority, tenant, corrected(account, difference, cost));
  }

  /** Forgives as much as lets somebody of those who wait owe nothing. */
  advance(waiting: Iterable<Turn>): void {
    const classes = new Set<Priority>();
    const tenants: Record<Priority, Set<string>> = {
      high: new Set(),
      normal: new Set(),
      low: new Set(),
    };
    for (const { priority, tenant } of waiting) {
      classes.add(priority);
      tenants[priority].add(tenant);
    }
    forgive(this.#classes, classes);
    forgive(this.#tenants.high, tenants.high);
    forgive(this.#tenants.normal, tenants.normal);
    forgive(this.#tenants.low, tenants.low);
  }

  #keep(priority: Priority, tenant: string, account: Account): void {
    const accounts = this.#tenants[priority];
    accounts.set(tenant, account);
    if (accounts.size <= MAX_TENANTS) return;
    const [oldest] = accounts.keys();
    if (oldest !== undefined) accounts.delete(oldest);
  }
}

function forgive<K>(accounts: Accounts<K>, waiting: ReadonlySet<K>): void {
  if (waiting.size === 0) {
    accounts.clear();
    return;
  }
  const round = nextRound([...waiting].map((owner) => accounts.get(owner)?.debt ?? 0));
  for (const [owner, { debt, largestCost }] of accounts) {
    if (debt <= round) accounts.delete(owner);
    else if (round > 0) accounts.set(owner, { debt: debt - round, largestCost });
  }
}
