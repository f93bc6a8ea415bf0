/** The class that a request claims, and the one that it gets. */
import type { IncomingHttpHeaders } from 'node:http';
import { heldPriority, priorityNamed } from '../policy/priority.ts';
import type { Priority } from '../policy/types.ts';
import { invalidRequest, type Problem } from './problem.ts';

const HEADER = 'x-kvgate-priority';

export interface PriorityClaim {
  readonly held: Priority;
  /** What the answer's headers say of it: nothing where nothing was claimed. */
  readonly disclosed: Priority | null;
}

/** @param most the highest class that the caller may claim: what is above is lowered to it */
export function priorityOf(headers: IncomingHttpHeaders, most: Priority): PriorityClaim | Problem {
  const text = headers[HEADER];
  if (text === undefined) return { held: heldPriority(null, most), disclosed: null };
  const claimed = typeof text === 'string' ? priorityNamed(text.trim()) : null;
  if (claimed === null) return invalidRequest(`${HEADER} must be high, normal or low`, HEADER);
  const held = heldPriority(claimed, most);
  return { held, disclosed: held };
}

/** For an answer. */
export function priorityHeader(disclosed: Priority | null): Readonly<Record<string, string>> {
  return disclosed === null ? {} : { 'x-kvgate-priority': disclosed };
}
