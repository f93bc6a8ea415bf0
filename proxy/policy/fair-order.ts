/**
 * In what order those who wait are served: deficit round robin in two levels,
 * over classes by weight and within a class over tenants, in KV-byte-seconds.
 *
 * An account may be overdrawn by the request that is served, since what that
 * really costs is known only at its end (surplus round robin: Adiseshu, Parulkar
 * and Varghese, SIGCOMM 1996, after Shreedhar and Varghese, SIGCOMM 1995). The
 * rounds are not walked: with a quantum as small as one likes, a request has its
 * turn once what its tenant owes and what that tenant has in line before it is
 * forgiven (the start tags of start-time fair queueing: Goyal, Vin and Cheng,
 * SIGCOMM 1996).
 */
import { CLASS_WEIGHTS, PRIORITIES } from './priority.ts';
import type { Priority } from './types.ts';

/** Who waits for a turn, and what it will cost. */
export interface Turn {
  readonly priority: Priority;
  readonly tenant: string;
  /** Predicted KV-byte-seconds: see held-cost.ts. */
  readonly cost: number;
}

/** What is owed: by a class over its weight, by a tenant in a class. 0 for whoever is not known. */
export interface Debts {
  ofClass(priority: Priority): number;
  ofTenant(priority: Priority, tenant: string): number;
}

/**
 * Everybody who waits, in the order in which they would be served if each of
 * them fitted. Among equals the higher class goes first, and then who came first.
 * @param waiting in order of arrival
 */
export function fairOrder<T extends Turn>(waiting: readonly T[], debts: Debts): readonly T[] {
  const [first] = waiting;
  if (first === undefined || waiting.every((each) => isAlike(each, first))) return waiting;
  const classes = PRIORITIES.map((priority) => ({
    weight: CLASS_WEIGHTS[priority],
    owes: debts.ofClass(priority),
    line: tenantsInTurn(priority, waiting, debts),
    next: 0,
  }));
  const order: T[] = [];
  while (order.length < waiting.length) {
    let turn: (typeof classes)[number] | null = null;
    for (const each of classes) {
      if (each.next < each.line.length && (turn === null || each.owes < turn.owes)) turn = each;
    }
    const entry = turn?.line[turn.next];
    if (turn === null || entry === undefined) break;
    order.push(entry);
    turn.next += 1;
    turn.owes += entry.cost / turn.weight;
  }
  return order;
}

/** Those of one class, each after what its tenant owes and has in line before it. */
function tenantsInTurn<T extends Turn>(
  priority: Priority,
  waiting: readonly T[],
  debts: Debts,
): readonly T[] {
  const owed = new Map<string, number>();
  const tagged: { readonly entry: T; readonly start: number }[] = [];
  for (const entry of waiting) {
    if (entry.priority !== priority) continue;
    const start = owed.get(entry.tenant) ?? debts.ofTenant(priority, entry.tenant);
    owed.set(entry.tenant, start + entry.cost);
    tagged.push({ entry, start });
  }
  // The sort is stable: equals stay in order of arrival.
  return tagged.sort((a, b) => a.start - b.start).map(({ entry }) => entry);
}

/** How many of those who wait would be served before somebody who comes now. */
export function fairPosition(
  waiting: readonly Turn[],
  newcomer: Pick<Turn, 'priority' | 'tenant'>,
  debts: Debts,
): number {
  if (waiting.every((each) => isAlike(each, newcomer))) return waiting.length;
  // Whoever comes before it does so whatever it costs itself.
  const last: Turn = { priority: newcomer.priority, tenant: newcomer.tenant, cost: 0 };
  return fairOrder([...waiting, last], debts).indexOf(last);
}

type Owner = Pick<Turn, 'priority' | 'tenant'>;

/** Of one tenant and class whoever came first goes first. */
function isAlike(a: Owner, b: Owner): boolean {
  return a.tenant === b.tenant && a.priority === b.priority;
}
