/** The load of one data-parallel rank, as `/v1/loads` and the older `/get_load` tell it. */
import { countField, field, listField } from '../engine-answer.ts';

export interface RankLoad {
  readonly rank: number;
  readonly running: number;
  readonly waiting: number | null;
  /** Tokens in the pool of full layers, those that only the prefix cache holds left out. */
  readonly usedTokens: number | null;
  /** Share of the fullest of the rank's pools, to four digits. */
  readonly usage: number | null;
  readonly poolTokens: number | null;
  readonly maxSequences: number | null;
  /** Requests retracted by the last step that did; a rise tells of one that did again. */
  readonly retracted: number | null;
}

/** Of `/v1/loads?include=core,queues` (entrypoints/v1_loads.py; GetLoadsReqOutput); null: none there. */
export function ranksOfLoads(answer: unknown): readonly RankLoad[] | null {
  return allOrNone(listField(answer, 'loads'), (load, index) => {
    const running = countField(load, 'num_running_reqs');
    if (running === null) return null;
    return {
      rank: countField(load, 'dp_rank') ?? index,
      running,
      waiting: countField(load, 'num_waiting_reqs'),
      usedTokens: countField(load, 'num_used_tokens'),
      usage: shareField(load, 'token_usage'),
      poolTokens: countField(load, 'max_total_num_tokens'),
      maxSequences: countField(load, 'max_running_requests'),
      retracted: countField(field(load, 'queues'), 'retracted'),
    };
  });
}

/**
 * Of `/get_load`: requests running and waiting together, and tokens with those
 * of the prompts that still wait, where it does not tell them apart.
 */
export function ranksOfOldLoad(answer: unknown): readonly RankLoad[] | null {
  return allOrNone(Array.isArray(answer) ? answer : [], (load, index) => {
    const requests = countField(load, 'num_reqs');
    if (requests === null) return null;
    const waiting = countField(load, 'num_waiting_reqs') ?? 0;
    const tokens = countField(load, 'num_tokens');
    const pendingTokens = countField(load, 'num_pending_tokens') ?? 0;
    return {
      rank: countField(load, 'dp_rank') ?? index,
      running: Math.max(0, requests - waiting),
      waiting,
      usedTokens: tokens === null ? null : Math.max(0, tokens - pendingTokens),
      usage: null,
      poolTokens: null,
      maxSequences: null,
      retracted: null,
    };
  });
}

/** In the order of their ranks; null where there is none, or one can't be read. */
function allOrNone(
  loads: readonly unknown[],
  read: (load: unknown, index: number) => RankLoad | null,
): readonly RankLoad[] | null {
  const ranks = loads.flatMap((load, index) => read(load, index) ?? []);
  if (ranks.length === 0 || ranks.length < loads.length) return null;
  return ranks.toSorted((a, b) => a.rank - b.rank);
}

function shareField(value: unknown, key: string): number | null {
  const share = field(value, key);
  return typeof share === 'number' && share >= 0 && share <= 1 ? share : null;
}
