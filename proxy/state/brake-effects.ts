/** What the emergency brake can have done with requests that run. Its owner may not refuse. */
import type { Lease } from './lease.ts';

export interface BrakeEffects {
  /** Whether any part of an answer went out to its client. */
  hasAnswered(lease: Lease): boolean;
  /** Cancels the request at its engine and lets it wait again, ahead of everybody. */
  takeBack(lease: Lease): void;
  /** Cancels the request at its engine and ends its answer with an error. */
  endStream(lease: Lease): void;
}

export type BrakeAction = 'take_back' | 'end_stream';
