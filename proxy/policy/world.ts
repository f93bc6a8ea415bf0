/** What is known of the instances that could serve a request, at the moment of a decision. */
import type { KvLayout } from '../memory/kv-layout.ts';
import type { Future } from './chance.ts';
import type { Level } from './types.ts';

export type Capacity =
  /**
   * Measured or told by the engine: units that leases may fill now, and those
   * they could fill were nobody else on the instance's GPUs.
   */
  | { readonly state: 'known'; readonly units: number; readonly aloneUnits: number }
  /** Readings are missing or stale: a lowered budget, on the ledger alone. */
  | {
      readonly state: 'conservative';
      readonly units: number;
      readonly aloneUnits: number;
      readonly why: string;
    }
  /** `--on-stale pass`, or an engine whose limit is unknown and accepted as such. */
  | { readonly state: 'unlimited'; readonly why: string }
  /** `--on-stale reject`, or nothing was ever known: nothing may be admitted. */
  | { readonly state: 'blind'; readonly why: string };

/** A live lease, as far as a forecast needs it. */
export interface Freeing {
  /** Predicted end; null when nothing was learned of the instance's speed yet, or when it is overdue. */
  readonly atMs: number | null;
  readonly units: number;
  readonly sequences: number;
}

/** One instance at the moment of a decision. */
export interface InstanceView {
  readonly name: string;
  readonly layout: KvLayout;
  readonly capacity: Capacity;
  /**
   * Units promised, plus what others hold there: of live leases the sum of their
   * peaks, or, with an outlook, the peak of their sum but for the chance that is taken.
   */
  readonly committedUnits: number;
  /** How its requests will go on, together; null: each counts with all it may ever hold. */
  readonly outlook: Outlook | null;
  /** Sequences in flight, of kvgate and of others. */
  readonly sequences: number;
  /** Prompt tokens of its leases in prefill, where each prefill takes memory of its own (`dynamic`); else 0. */
  readonly prefillTokens: number;
  /** Hard limit of sequences (slots, `max_num_seqs`); null when there is none. */
  readonly maxSequences: number | null;
  /** Soft limit of sequences from degradation or `--max-concurrency`; null: none. */
  readonly concurrencyCap: number | null;
  readonly level: Level;
  /** Live leases with their predicted ends, in any order. */
  readonly freeing: readonly Freeing[];
}

/** What is foreseen of an instance's live leases. */
export interface Outlook {
  readonly future: Future;
  /** What they hold now, as far as it is seen. */
  readonly heldUnits: number;
  /** What others hold there: it stays. */
  readonly othersUnits: number;
  /** Chance that is taken that they come to need more than there is. */
  readonly overrunProbability: number;
  /** Decode steps that pass while a token of a prompt is read, at most; null: not known yet. */
  readonly stepsPerPromptToken: number | null;
  /** Share of outputs that may run to their limit, whatever was learned: see `doubtOf`. */
  readonly doubt: number;
}

export interface PoolView {
  readonly name: string;
  /** The multi-GPU pool that large requests prefer. */
  readonly large: boolean;
  /** Healthy instances only. */
  readonly instances: readonly InstanceView[];
  /** Those who wait for this pool and are served before the request, in order. */
  readonly waiting: readonly Waiting[];
}

/** A queued request, as far as a forecast needs it. */
export interface Waiting {
  /** That have to be free for it to be let in. */
  readonly units: number;
  /** That it is expected to hold from then on; left out: as many. */
  readonly heldUnits?: number;
  readonly sequences: number;
  /** Predicted time from its admission to its end; null when nothing was learned yet. */
  readonly durationMs: number | null;
  /**
   * Of the first in line: a newcomer behind it may take what is free, which is
   * not enough for this one. Left out: nobody may.
   */
  readonly passable?: boolean;
}

/** The session a request belongs to, as accounted before the request. */
export interface SessionView {
  readonly liveBytes: number;
  readonly residentBytes: number;
}
