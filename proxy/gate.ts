/**
 * The composition root: builds every room from the configuration, starts them
 * in order and stops them in the reverse order. Nothing is decided here.
 */
import type { Server } from 'node:http';
import { composeHttp } from './compose-http.ts';
import { type KeptOnDisk, keepOnDisk } from './compose-lengths.ts';
import { composeState, type StateRooms } from './compose-state.ts';
import type { Config } from './config/config.ts';
import { connections } from './connections.ts';
import { listen } from './http/guarded-server.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import { firstLook, unusableReason } from './start-checks.ts';
import { StartError } from './start-error.ts';
import type { GpuReading } from './state/gpu-source.ts';
import type { Log } from './state/log.ts';
import type { Overview } from './state/overview.ts';
import type { Pools } from './state/pools.ts';

export interface Gate {
  readonly port: number;
  readonly adminPort: number | null;
  readonly overview: Overview;
  /** One sentence on where GPU readings come from. */
  readonly gpuSource: string;
  gpus(): readonly GpuReading[];
  /** The models whose geometry is known, one of each. */
  specs(): readonly { readonly spec: ModelSpec; readonly kvBytesPerElement: number }[];
  /** Refuses new work, lets running requests end, breaks what is left at the deadline. */
  drain(): Promise<void>;
}

const SWEEP_INTERVAL_MS = 1_000;

/**
 * Starts a gate.
 * @param readSimulated reads the GPUs of a simulated backend, where there is one
 * @throws StartError when a backend can't be guarded as configured; the
 *   listener's error when an address can't be had. Nothing runs on then.
 */
export async function startGate(
  config: Config,
  log: Log,
  readSimulated: ((signal: AbortSignal) => Promise<unknown>) | null,
): Promise<Gate> {
  const { server, engine } = config;
  const upstreams = connections(config.backends, engine);
  const rooms = await composeState(config, log, upstreams.of, readSimulated);
  const { exchanges, passthrough, data, admin } = composeHttp(config, log, rooms, upstreams.of);
  const { sessions, clock } = rooms;
  const sweeping = setInterval(() => sessions.sweep(clock.nowMs()), SWEEP_INTERVAL_MS);
  let kept: KeptOnDisk | null = null;
  const stop = async () => {
    await Promise.all([data, admin].map(closed));
    await kept?.close();
    clearInterval(sweeping);
    await Promise.all([rooms.engines.stop(), rooms.gpu.stop()]);
    rooms.tokenThread.close();
    passthrough.close();
    await upstreams.close();
  };

  try {
    kept = await keepOnDisk(config, rooms, log);
    await Promise.all([startProbes(config, rooms), rooms.tokenThread.ready()]);
    const port = await listen(data, server.host, server.port, log);
    const adminPort =
      admin === null || server.adminListen === null
        ? null
        : await listen(admin, server.adminListen.host, server.adminListen.port, log);
    return {
      port,
      adminPort,
      overview: rooms.overview,
      gpuSource: rooms.chosen.why,
      gpus: () => rooms.gpu.snapshot?.gpus ?? [],
      specs: () => knownSpecs(rooms.pools),
      async drain() {
        rooms.admission.close();
        await exchanges.drain(server.drainTimeoutMs);
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @throws StartError when what they find can't be guarded */
async function startProbes(config: Config, rooms: StateRooms): Promise<void> {
  const { pools, capacities } = rooms;
  await firstLook(rooms);
  const unusable = pools.instances.flatMap(
    (instance) => unusableReason(instance, capacities, config.policy) ?? [],
  );
  if (unusable.length > 0) throw new StartError(unusable.join('\n'));
}

function knownSpecs(pools: Pools): ReturnType<Gate['specs']> {
  const known = new Map(
    pools.instances.flatMap(({ facts }) => {
      if (facts === null || facts.layout.spec === null) return [];
      const { spec, kvBytesPerElement } = facts.layout;
      return [[spec.id, { spec, kvBytesPerElement }] as const];
    }),
  );
  return [...known.values()];
}

function closed(server: Server | null): Promise<void> {
  if (server === null) return Promise.resolve();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
