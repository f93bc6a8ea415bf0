/** What ended an output: what is cut is a lower bound of a length, and must not be learned as one. */

/** The model itself, the limit it was asked with, or one that kvgate or the context set. */
export type EndedBy = (typeof ENDS)[number];

export const ENDS = ['itself', 'asked_limit', 'set_limit'] as const;

/** Limits of one sequence's output, in tokens; null: there is none. */
export interface OutputLimits {
  /** As the request came. */
  readonly asked: number | null;
  /** As it was sent on, where that was changed. */
  readonly set: number | null;
  /** What the context has left beside the prompt. */
  readonly room: number;
}

/** An output that reaches a limit was cut by it, though it may have ended there by itself. */
export function endedBy(outputTokens: number, { asked, set, room }: OutputLimits): EndedBy {
  const limit = set ?? asked;
  if (limit !== null && outputTokens >= limit) return set === null ? 'asked_limit' : 'set_limit';
  return outputTokens >= room ? 'set_limit' : 'itself';
}
