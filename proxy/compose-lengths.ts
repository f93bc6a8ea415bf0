/** Builds what learns how long outputs are, and connects it with the disk: `--state-dir`, `--decision-log`. */
import { dirname } from 'node:path';
import type { Config } from './config/config.ts';
import { StartError } from './start-error.ts';
import type { Clock } from './state/clock.ts';
import { DecisionLog } from './state/decision-log.ts';
import { LearnedState } from './state/lengths/learned-state.ts';
import { LengthForecasts } from './state/lengths/length-forecasts.ts';
import type { Log } from './state/log.ts';
import type { Learner } from './state/settled.ts';
import { openStateFolder } from './state-folder.ts';
import { RotatingFile } from './telemetry/rotating-file.ts';

const MIB = 1024 ** 2;
const LAST_SAVE_WAIT_MS = 5_000;
/** With what is kept: 384 MiB, or about half a million requests. */
const LOG_FILE = { maxBytes: 64 * MIB, keep: 5, maxWaitingBytes: 4 * MIB };

export function composeLengths() {
  const lengths = new LengthForecasts();
  const decisionLog = new DecisionLog(() => Date.now());
  const lengthLearners: readonly Learner[] = [
    (settled) => lengths.settled(settled),
    (settled) => decisionLog.settled(settled),
  ];
  return { lengths, decisionLog, lengthLearners };
}

export interface KeptOnDisk {
  /** Saves and closes; for the end of the process. */
  close(): Promise<void>;
}

/**
 * Reads what an earlier process learned, and begins to keep and to log.
 * @throws StartError that names the option whose path can't be used
 */
export async function keepOnDisk(
  { state }: Pick<Config, 'state'>,
  rooms: {
    readonly lengths: LengthForecasts;
    readonly decisionLog: DecisionLog;
    readonly clock: Clock;
  },
  log: Log,
): Promise<KeptOnDisk> {
  const { lengths, decisionLog, clock } = rooms;
  const store = state.dir === null ? null : await openFolder(state.dir);
  const file =
    state.decisionLogFile === null ? null : await openLog(state.decisionLogFile, decisionLog, log);
  const learned = store === null ? null : new LearnedState({ store, lengths, clock, log });
  await learned?.restore().catch(refuse('state-dir', state.dir));
  learned?.start();
  decisionLog.writeTo(file);
  return {
    async close() {
      decisionLog.writeTo(null);
      await Promise.all([learned === null ? null : withinReason(learned.stop()), file?.close()]);
    },
  };
}

/** A disk that hangs must not keep the process from ending. */
async function withinReason(stopped: Promise<void>): Promise<void> {
  let giveUp: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    giveUp = setTimeout(resolve, LAST_SAVE_WAIT_MS);
  });
  await Promise.race([stopped, patience]);
  clearTimeout(giveUp);
}

function openFolder(folder: string) {
  return openStateFolder(folder).catch(refuse('state-dir', folder));
}

function openLog(path: string, decisionLog: DecisionLog, log: Log): Promise<RotatingFile> {
  return RotatingFile.open(path, {
    ...LOG_FILE,
    headLines: () => decisionLog.headLines(),
    droppedLine: (lines) => JSON.stringify({ v: 1, type: 'dropped', timeMs: Date.now(), lines }),
    onTrouble: (why) => log.warn('Decision log not written', { folder: dirname(path), why }),
  }).catch(refuse('decision-log', path));
}

function refuse(option: string, path: string | null) {
  return (error: unknown): never => {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartError(`--${option}: ${path} can't be used: ${why}`);
  };
}
