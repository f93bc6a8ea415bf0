/**
 * What an engine holds for its sequences, in units of its kind. Decoding
 * sequences grow alike, a token a step, so they are kept as a sum that moves by
 * steps; what prefills, and who has just begun to decode, is held one by one.
 */
import type { Entry, FailureKind } from './entry.ts';

/** What a step does that finds no room: ends who asked, ends all, or sends the last one back. */
export type OnShortage = 'end-one' | 'end-all' | 'preempt-last';

export interface KvAccount {
  readonly capacityUnits: number;
  usedUnits: number;
  readonly onShortage: OnShortage;
  readonly failure: FailureKind;
  /** How many sequences run at a time. */
  readonly maxRunning: number;
  /** Prefilling ones share a step's tokens equally, or the first takes all it can. */
  readonly prefillsTogether: boolean;

  /** Whether a waiting one begins to prefill now; if so, what it takes at its start is taken. */
  start(entry: Entry): 'starts' | 'waits' | 'fails';
  /** Free units from which the first in line starts; Infinity where memory does not hold it up. */
  gateUnits(entry: Entry): number;
  /** Held while the next `chunkTokens` of a prompt are computed. */
  prefillUnits(entry: Entry, chunkTokens: number): number;
  /** Held between the end of prefill and the first step of decoding. */
  prefilledUnits(entry: Entry): number;
  /** Held by one that decodes while its cache comes to `tokens`. */
  decodeUnits(tokens: number): number;
  /** Output after which it ends, whatever was asked for. */
  outputLimitTokens(promptTokens: number): number;

  /** Into and out of the sum, with `tokens` in its cache as of now; `usedUnits` is not touched. */
  join(tokens: number): void;
  leave(tokens: number): void;
  /** The most that the next step of the sum takes, before any window gives back. */
  stepUnits(): number;
  /** Steps of the sum that fit for certain, at most `limit`; it stops short of `gateUnits` coming free. */
  quietSteps(limit: number, gateUnits: number): number;
  /** Moves the sum and `usedUnits` by that many steps. */
  grow(steps: number): void;
}
