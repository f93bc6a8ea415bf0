/**
 * Prompts that llama-server keeps in host memory when their slot is taken by
 * another (`--cache-ram`, server-task.cpp server_prompt_cache). How full that
 * is, no endpoint tells.
 */
import type { HostTier } from '../adapter.ts';
import { flagInteger } from '../command-line.ts';

const MIB = 1024 ** 2;
const DEFAULT_MIB = 8_192;

/** Null where it keeps none, or where its command line, the only place that tells, can't be seen. */
export function hostCache(args: readonly string[] | null): HostTier | null {
  if (args === null) return null;
  const limitMib = flagInteger(args, ['-cram', '--cache-ram']) ?? DEFAULT_MIB;
  if (limitMib === 0) return null;
  return { capacityBytes: limitMib < 0 ? null : limitMib * MIB, usedShare: null };
}
