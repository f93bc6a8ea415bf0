/** The life of a serving process: start, banner, signals, drain, exit code. */
import { banner } from './banner.ts';
import type { Config, DemoConfig } from './config/config.ts';
import { packageVersion } from './config/version.ts';
import { type DemoServer, startDemoServer } from './demo.ts';
import { type Gate, startGate } from './gate.ts';
import { StartError } from './start-error.ts';
import { createLog } from './telemetry/log.ts';

const EXIT = { ok: 0, runtime: 1, usage: 2 } as const;

/**
 * Serves until SIGTERM or SIGINT, then drains. A second signal exits at once.
 * @returns the exit code: 0 after a drain, 1 when it can't listen, 2 when the
 *   backends can't be guarded as configured
 */
export async function serve(
  config: Config,
  { demo }: { readonly demo: DemoConfig | null },
): Promise<number> {
  const log = createLog({ level: config.telemetry.logLevel, format: config.telemetry.logFormat });
  const simulated = demo === null ? null : await startDemoServer(demo);
  const guarded = simulated === null || demo === null ? config : withDemo(config, simulated, demo);
  const told = nextSignal();
  let gate: Gate;
  try {
    gate = await startGate(guarded, log, simulatedGpus(guarded, simulated));
  } catch (error) {
    await simulated?.close();
    told.cancel();
    console.error(`kvgate: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof StartError || isUnavailableSource(error) ? EXIT.usage : EXIT.runtime;
  }
  console.log(
    banner({
      version: packageVersion(),
      config: guarded,
      port: gate.port,
      gpuSource: gate.gpuSource,
      gpus: gate.gpus(),
      instances: gate.overview.instances(),
      specs: gate.specs(),
      demo: simulated?.description ?? null,
    }),
  );

  const signal = await told.signal;
  log.info('Draining', { signal, timeoutMs: config.server.drainTimeoutMs });
  process.once('SIGTERM', () => process.exit(EXIT.runtime));
  process.once('SIGINT', () => process.exit(EXIT.runtime));
  await gate.drain();
  await simulated?.close();
  log.info('Stopped', {});
  return EXIT.ok;
}

/** Guards the simulated server, knowing of it what an operator would tell. */
function withDemo(config: Config, { url }: DemoServer, { attention }: DemoConfig): Config {
  return {
    ...config,
    backends: [{ name: 'simulated', url, pool: 'default' }],
    engine: { ...config.engine, attention },
  };
}

/** Reads the GPUs that a simulated backend tells of; null when there is none. */
function simulatedGpus(config: Config, demo: DemoServer | null) {
  const wanted = demo !== null || config.probe.gpuSource === 'simulated';
  const [backend] = config.backends;
  if (!wanted || backend === undefined) return null;
  return async (signal: AbortSignal): Promise<unknown> => {
    const answer = await fetch(`${backend.url}/simulated/gpu`, { signal });
    return answer.json();
  };
}

function isUnavailableSource(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'gpu_source_unavailable';
}

function nextSignal(): { readonly signal: Promise<string>; readonly cancel: () => void } {
  const names = ['SIGTERM', 'SIGINT'] as const;
  let heard: (name: string) => void = () => {};
  const listeners = names.map((name) => () => heard(name));
  const cancel = () => {
    for (const [index, name] of names.entries()) process.off(name, listeners[index] ?? heard);
  };
  const signal = new Promise<string>((resolve) => {
    heard = (name) => {
      cancel();
      resolve(name);
    };
    for (const [index, name] of names.entries()) process.on(name, listeners[index] ?? heard);
  });
  return { signal, cancel };
}
