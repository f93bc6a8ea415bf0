/** Classes of requests, and what a caller gets of the class it claims. */
import type { Priority } from './types.ts';

/** The highest first. */
export const PRIORITIES: readonly Priority[] = ['high', 'normal', 'low'];

/**
 * Shares of what is served while every class has somebody waiting: of 13 parts
 * 9, 3 and 1. The lowest is slow under load, and never left out.
 */
export const CLASS_WEIGHTS: Readonly<Record<Priority, number>> = { high: 9, normal: 3, low: 1 };

/** The class of that name, in any case; null when there is none. */
export function priorityNamed(name: string): Priority | null {
  return PRIORITIES.find((priority) => priority === name.toLowerCase()) ?? null;
}

/** The class that holds: what was claimed, or `normal`, but never more than the caller may have. */
export function heldPriority(claimed: Priority | null, most: Priority): Priority {
  const rank = (priority: Priority) => PRIORITIES.indexOf(priority);
  const wanted = claimed ?? 'normal';
  return rank(wanted) < rank(most) ? most : wanted;
}
