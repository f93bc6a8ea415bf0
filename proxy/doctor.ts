/**
 * `kvgate doctor`: looks at every backend as a start would, tells what it found,
 * and leaves nothing running. It sends no generation.
 */
import { composeState } from './compose-state.ts';
import type { Config } from './config/config.ts';
import { connections } from './connections.ts';
import { doctorReport } from './doctor-report.ts';
import { firstLook, unusableReason } from './start-checks.ts';
import { StartError } from './start-error.ts';
import type { Log } from './state/log.ts';

export interface Examined {
  readonly text: string;
  /** Whether every backend would be guarded as things are now. */
  readonly allGuarded: boolean;
}

const STAY_AWAKE_MS = 1_000;

/** What a log would say is in the report. */
const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Never rejects for what a backend or a GPU does: that is what it is there to tell. */
export async function examine(config: Config): Promise<Examined> {
  const upstreams = connections(config.backends, config.engine);
  // The monitors' own timers let a process end; without a server, nothing else would keep it.
  const awake = setInterval(() => {}, STAY_AWAKE_MS);
  try {
    const rooms = await composeState(config, SILENT, upstreams.of, null);
    try {
      await Promise.all([firstLook(rooms), rooms.tokenThread.ready()]);
      const { pools, capacities, chosen, gpu, overview } = rooms;
      const patients = pools.instances.map((instance) => ({
        instance,
        seen: overview.instances().find((row) => row.instance === instance.name) ?? null,
        unusable: unusableReason(instance, capacities, config.policy),
      }));
      const text = doctorReport({
        patients,
        adapterAsked: config.engine.adapter,
        gpuSource: chosen.why,
        gpus: gpu.snapshot?.gpus ?? [],
      });
      const isGuarded = ({ instance, unusable }: (typeof patients)[number]) =>
        instance.health.state === 'healthy' && unusable === null;
      return { text, allGuarded: patients.every(isGuarded) };
    } finally {
      await Promise.all([rooms.engines.stop(), rooms.gpu.stop()]);
      rooms.tokenThread.close();
    }
  } catch (error) {
    if (!isStartError(error)) throw error;
    return { text: `Can't be guarded as configured: ${error.message}`, allGuarded: false };
  } finally {
    await upstreams.close();
    clearInterval(awake);
  }
}

function isStartError(error: unknown): error is Error {
  const isUnavailable =
    error instanceof Error && 'code' in error && error.code === 'gpu_source_unavailable';
  return error instanceof StartError || isUnavailable;
}
