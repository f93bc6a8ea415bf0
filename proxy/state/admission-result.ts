/** What becomes of a request that asks for admission. */
import type { AdmitDecision, Decision, RejectDecision } from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { Lease } from './lease.ts';
import type { ServingInstance } from './pools.ts';
import type { QueueExit } from './queue.ts';

export interface Admitted {
  /** What is done. */
  readonly decision: AdmitDecision;
  /** What is reported: the same, but in `--mode observe` what would have been done. */
  readonly reported: Decision;
  readonly instance: ServingInstance;
  readonly lease: Lease;
  readonly queuedMs: number;
  /** `--mode observe`: nothing about the request may be changed. */
  readonly observed: boolean;
}

export type AdmissionResult =
  | { readonly outcome: 'admitted'; readonly admitted: Admitted }
  | { readonly outcome: 'rejected'; readonly decision: RejectDecision; readonly queuedMs: number }
  /** The client left while it waited; nobody is there to be answered. */
  | { readonly outcome: 'abandoned' };

/** How a wait is counted. */
export type WaitOutcome = 'admitted' | 'rejected' | 'left' | 'displaced';

export function waitOutcome(exit: QueueExit<AdmissionResult>): WaitOutcome {
  switch (exit.how) {
    case 'served':
      return exit.result.outcome === 'admitted' ? 'admitted' : 'rejected';
    case 'abandoned':
      return 'left';
    case 'displaced':
      return 'displaced';
    case 'deadline':
    case 'closed':
      return 'rejected';
    default:
      return assertNever(exit);
  }
}
