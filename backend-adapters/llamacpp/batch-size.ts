/** The physical batch, as far as llama-server's command line tells it. */
import {
  DEFAULT_BATCH_TOKENS,
  DEFAULT_UBATCH_TOKENS,
} from '../../proxy/memory/engines/llamacpp-cells.ts';
import { flagInteger } from '../command-line.ts';

/**
 * Tokens of it; null where neither `-ub` nor `-b` is given. It is never larger
 * than the logical batch, and as large with `-ub 0` (llama-context.cpp).
 */
export function ubatchOf(args: readonly string[]): number | null {
  const physical = countOf(args, ['-ub', '--ubatch-size']);
  const logical = countOf(args, ['-b', '--batch-size']);
  if (physical === null && logical === null) return null;
  const most = logical === null || logical === 0 ? DEFAULT_BATCH_TOKENS : logical;
  return Math.min(most, physical === 0 ? most : (physical ?? DEFAULT_UBATCH_TOKENS));
}

function countOf(args: readonly string[], names: readonly string[]): number | null {
  const count = flagInteger(args, names);
  return count === null || count < 0 ? null : count;
}
