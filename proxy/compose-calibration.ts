/** Builds the room that holds engines against what they show, and lets it hear of all they do. */
import { Calibration } from './state/calibration.ts';
import type { Ledger } from './state/ledger.ts';
import type { Log } from './state/log.ts';
import type { Pools } from './state/pools.ts';
import type { Learner } from './state/settled.ts';

/** To be built before whoever else listens to the pools: they are to find the layout in force. */
export function composeCalibration(
  pools: Pools,
  ledger: Ledger,
  log: Log,
): { readonly calibration: Calibration; readonly learn: Learner } {
  const calibration = new Calibration(pools, ledger, log);
  pools.onChange((before, after) => calibration.changed(before, after));
  return { calibration, learn: (settled) => calibration.settled(settled) };
}
