/**
 * What stands between the clients and the engine in a simulation: a policy with
 * its queue. It is told what happens, and acts through a Stage.
 */
import type { Level } from '../policy/types.ts';
import type { SimulatedRequest } from './workload.ts';

/** What a front may do. */
export interface Stage {
  /** The request goes to an engine now, with at most so many output tokens. @param instance its name */
  start(request: SimulatedRequest, outputTokens: number, instance: string): void;
  /** The request waits. @param predictedMs null where no wait is predicted */
  queued(request: SimulatedRequest, predictedMs: number | null): void;
  /** The engine lets go of a request that was started; nothing more is heard of it. */
  cancel(request: SimulatedRequest, why: 'taken_back' | 'cut'): void;
  /** The client is told to come back. @param retryAfterMs null where nothing is said of when */
  refused(request: SimulatedRequest, reason: string, retryAfterMs: number | null): void;
}

/** How a request ended that was started. */
export interface Ended {
  readonly how: 'finished' | 'oom' | 'overflow';
  readonly outputTokens: number;
  readonly ttftMs: number | null;
  /** Since its start. */
  readonly totalMs: number;
}

export interface Front {
  /** Requests that wait. */
  readonly waiting: number;
  readonly level: Level;
  arrived(request: SimulatedRequest): void;
  /** So many output tokens of a started one are out; 1 or more. */
  generated(request: SimulatedRequest, tokens: number): void;
  ended(request: SimulatedRequest, ended: Ended): void;
  /** Twice a second: whatever the front reads of engine and GPU. */
  poll(): void;
  /**
   * Resolves once what was begun at this moment is through; null where nothing was.
   * @param timersRan of the clock, which may be the front's own
   */
  settle(timersRan: boolean): Promise<void> | null;
}
