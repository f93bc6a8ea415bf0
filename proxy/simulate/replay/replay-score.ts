/** What became of a log's requests: in the log itself, or in a replay of it. */
import type { Decision } from '../../policy/types.ts';
import { Quantiles } from '../quantiles.ts';
import { LevelChanges } from './level-changes.ts';
import type { ReplayHost, Running } from './replay-host.ts';
import type { ReplayRequest } from './replay-request.ts';

type Counts = Readonly<Record<string, number>>;

export interface ReplayFigures {
  /** Of the first decision on each request, by `action reason`. */
  readonly decisions: Counts;
  readonly admitted: number;
  readonly refused: number;
  /** Of those that were refused, at once or after a wait. */
  readonly refusedFor: Counts;
  /** Of those that waited, until they were admitted or refused. */
  readonly queueWaitMs: { readonly p50: number | null; readonly p95: number | null };
  readonly levelChanges: number;
  /** Held over capacity, of the fullest instance; null where no capacity is told. */
  readonly heldMemory: { readonly mean: number | null; readonly peak: number | null };
  /** Requests for which the memory would not have been enough. */
  readonly overran: number;
  readonly outputTokens: number;
  readonly brake: { readonly takenBack: number; readonly ended: number };
}

export class ReplayScore {
  readonly firstActions: (Decision['action'] | undefined)[] = [];
  readonly outcomes: ('admitted' | 'refused' | undefined)[] = [];
  readonly #decisions = new Map<string, number>();
  readonly #refusedFor = new Map<string, number>();
  readonly #waitsMs = new Quantiles();
  readonly #levels: LevelChanges;
  readonly #overran = new Set<number>();
  readonly #brake = { taken_back: 0, cut: 0 };
  #outputTokens = 0;
  #samples = 0;
  #sumShare = 0;
  #peakShare: number | null = null;

  constructor(levels = new LevelChanges()) {
    this.#levels = levels;
  }

  decidedFirst({ index }: ReplayRequest, action: Decision['action'], reason: string): void {
    if (this.firstActions[index] !== undefined) return;
    this.firstActions[index] = action;
    count(this.#decisions, `${action} ${reason}`);
  }

  level(decision: Decision): void {
    this.#levels.decided('instance' in decision ? decision.instance : null, decision.level);
  }

  started(request: ReplayRequest, waitedMs: number): void {
    this.#left(request, waitedMs);
    this.outcomes[request.index] = 'admitted';
  }

  refused(request: ReplayRequest, waitedMs: number, reason: string): void {
    this.#left(request, waitedMs);
    this.outcomes[request.index] = 'refused';
    count(this.#refusedFor, reason);
  }

  cancelled(why: 'taken_back' | 'cut'): void {
    this.#brake[why] += 1;
  }

  ended({ outputTokens }: Running): void {
    this.#outputTokens += outputTokens;
  }

  /**
   * Looks at what is held. Where it is more than there is, the youngest are
   * counted, as many as it takes for the others to fit.
   * @param isSample whether it counts for the mean
   */
  measure(hosts: readonly ReplayHost[], nowMs: number, isSample: boolean): void {
    let share: number | null = null;
    for (const host of hosts) {
      const capacityUnits = host.capacityUnits(nowMs);
      if (capacityUnits === null || capacityUnits <= 0) continue;
      const heldUnits = host.heldUnits(nowMs);
      share = Math.max(share ?? 0, heldUnits / capacityUnits);
      if (heldUnits > capacityUnits) this.#overrun(host, heldUnits - capacityUnits, nowMs);
    }
    if (share === null) return;
    this.#peakShare = Math.max(this.#peakShare ?? 0, share);
    if (!isSample) return;
    this.#samples += 1;
    this.#sumShare += share;
  }

  figures(instances: number): ReplayFigures {
    return {
      decisions: sorted(this.#decisions),
      admitted: this.outcomes.filter((outcome) => outcome === 'admitted').length,
      refused: this.outcomes.filter((outcome) => outcome === 'refused').length,
      refusedFor: sorted(this.#refusedFor),
      queueWaitMs: { p50: this.#waitsMs.at(0.5), p95: this.#waitsMs.at(0.95) },
      levelChanges: this.#levels.count(instances),
      heldMemory: {
        mean: this.#samples === 0 ? null : this.#sumShare / this.#samples,
        peak: this.#peakShare,
      },
      overran: this.#overran.size,
      outputTokens: this.#outputTokens,
      brake: { takenBack: this.#brake.taken_back, ended: this.#brake.cut },
    };
  }

  #left({ index }: ReplayRequest, waitedMs: number): void {
    if (this.firstActions[index] === 'queue' && this.outcomes[index] === undefined) {
      this.#waitsMs.add(waitedMs);
    }
  }

  #overrun(host: ReplayHost, overUnits: number, nowMs: number): void {
    let units = overUnits;
    for (const running of [...host.running.values()].reverse()) {
      if (units <= 0) return;
      this.#overran.add(running.request.index);
      units -= host.heldBy(running, nowMs);
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sorted(counts: ReadonlyMap<string, number>): Counts {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
