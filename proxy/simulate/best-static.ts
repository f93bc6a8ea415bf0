/** Which fixed concurrency does best: by goodput, and by goodput among those under which no request dies. */

/** What one limit came to. */
export interface StaticRun {
  readonly limit: number;
  readonly goodput: number;
  /** Requests that ended for want of memory: nobody keeps a limit under which they do. */
  readonly died: number;
}

/** The search for the best limit never looks beyond this. */
const MOST_STATIC = 1_024;
/** It doubles the limit until goodput has fallen to this share of the best. */
const FALLEN_SHARE = 0.7;
/** Then it looks between the neighbours of the best, so many times. */
const REFINEMENTS = 4;

/**
 * @param run plays the whole trace with a limit
 * @param most sequences that the engine takes at a time; null: no limit of its own
 * @returns every limit that was tried, the smallest first
 */
export async function searchStatic(
  run: (limit: number) => Promise<StaticRun>,
  most: number | null,
): Promise<readonly StaticRun[]> {
  const tried = new Map<number, StaticRun>();
  const highest = Math.min(MOST_STATIC, most ?? MOST_STATIC);
  const at = async (limit: number) => {
    const known = tried.get(limit) ?? (await run(limit));
    tried.set(limit, known);
    return known;
  };
  const all = () => [...tried.values()].sort((one, other) => one.limit - other.limit);
  for (let limit = 1; limit < 2 * highest; limit *= 2) {
    const { goodput } = await at(Math.min(limit, highest));
    if (goodput < FALLEN_SHARE * (bestOf(all())?.goodput ?? 0)) break;
  }
  for (let round = 0; round < REFINEMENTS; round += 1) {
    for (const found of [bestOf(all()), bestOf(all().filter(({ died }) => died === 0))]) {
      if (found === null) continue;
      for (const between of besides(found.limit, [...tried.keys()])) await at(between);
    }
  }
  return all();
}

/** The one with the most goodput, of equals the lowest limit; null where there is none. */
export function bestOf(runs: readonly StaticRun[]): StaticRun | null {
  return runs.reduce<StaticRun | null>(
    (best, run) => (best === null || run.goodput > best.goodput ? run : best),
    null,
  );
}

/** Half way to the neighbours that were tried. */
function besides(limit: number, tried: readonly number[]): readonly number[] {
  const below = Math.max(...tried.filter((other) => other < limit), 0) || limit;
  const above = Math.min(...tried.filter((other) => other > limit));
  const next = Number.isFinite(above) ? above : limit;
  return [Math.round((below + limit) / 2), Math.round((limit + next) / 2)];
}
