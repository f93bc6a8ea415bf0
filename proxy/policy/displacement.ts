/** Who makes room in a full queue: places are shared by tenants as memory is. */
import type { Turn } from './fair-order.ts';
import { PRIORITIES } from './priority.ts';

/**
 * The entry that leaves for a newcomer: of the tenant with the most entries the
 * newest one of its lowest class. null where that tenant would then have fewer
 * than the newcomer's: two of the same size do not push each other out.
 *
 * @param waiting in order of arrival
 */
export function toDisplace<T extends Turn>(waiting: Iterable<T>, newcomer: string): T | null {
  const entries = new Map<string, T[]>();
  for (const entry of waiting) {
    const others = entries.get(entry.tenant);
    if (others === undefined) entries.set(entry.tenant, [entry]);
    else others.push(entry);
  }
  let most: readonly T[] = [];
  for (const each of entries.values()) if (each.length > most.length) most = each;
  if (most.length < (entries.get(newcomer)?.length ?? 0) + 2) return null;
  let leaves: T | null = null;
  for (const entry of most) {
    if (leaves === null || rank(entry) >= rank(leaves)) leaves = entry;
  }
  return leaves;
}

function rank({ priority }: Turn): number {
  return PRIORITIES.indexOf(priority);
}
