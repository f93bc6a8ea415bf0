/**
 * A reading of an engine takes a while, in which leases come and go: what our
 * own may have held meanwhile is kept beside it, for each rank its own.
 */
import type { EngineReading } from '../../backend-adapters/adapter.ts';
import type { Clock } from './clock.ts';
import type { Ledger } from './ledger.ts';
import type { Instance, Pools, StampedReading } from './pools.ts';

type Own = Required<Pick<StampedReading, 'ownHeldUnits' | 'ownSequences' | 'generatedAtStart'>>;

/** Ends a reading: all ranks of the backend get theirs, and what else changed with it. */
export type EndReading = (
  reading: EngineReading,
  change: Partial<Pick<Instance, 'adapter' | 'facts' | 'health'>>,
) => void;

export function beginReading(
  pools: Pools,
  ledger: Ledger,
  clock: Clock,
  backend: string,
): EndReading {
  const ownOf = ({ name }: Instance): Own => ({
    ownHeldUnits: ledger.mostHeldUnits(name),
    ownSequences: ledger.totals(name).sequences,
    generatedAtStart: new Map(
      [...ledger.leases(name)].map((lease) => [lease, lease.generatedTokens]),
    ),
  });
  const startedAtMs = clock.nowMs();
  const before = new Map(pools.ranksOf(backend).map((rank) => [rank.name, ownOf(rank)]));
  return (reading, change) => {
    const finishedAtMs = clock.nowMs();
    for (const rank of pools.ranksOf(backend)) {
      const after = ownOf(rank);
      const { ownHeldUnits, ownSequences, generatedAtStart } = before.get(rank.name) ?? after;
      pools.update(rank.name, {
        ...change,
        latest: {
          reading: reading.ranks[rank.rank ?? 0] ?? reading,
          startedAtMs,
          finishedAtMs,
          ownHeldUnits: Math.max(ownHeldUnits, after.ownHeldUnits),
          ownSequences: Math.max(ownSequences, after.ownSequences),
          generatedAtStart,
        },
      });
    }
  };
}
