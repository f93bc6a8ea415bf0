/** What a simulation hears of the rooms of state: decisions as they are made, and levels. */
import type { Decision } from '../policy/types.ts';
import { DecisionLog } from '../state/decision-log.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import type { Log } from '../state/log.ts';

/** Hears of every decision in the step in which it is made. */
export class HeardDecisions extends DecisionLog {
  readonly #hear: (request: AdmissionRequest, decision: Decision) => void;

  constructor(hear: (request: AdmissionRequest, decision: Decision) => void) {
    super(() => 0);
    this.#hear = hear;
  }

  override decided(request: AdmissionRequest, decision: Decision): void {
    this.#hear(request, decision);
  }
}

/** Levels are told to the log whenever they change. */
export function levelLog(onLevel: () => void): Log {
  const ignore = () => {};
  const info = (msg: string) => {
    if (msg.startsWith('Memory pressure')) onLevel();
  };
  return { debug: ignore, info, warn: ignore, error: ignore };
}
