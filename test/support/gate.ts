/** A whole kvgate in this process, configured by flags as an operator would. */
import { loadConfig } from '../../proxy/config/load.ts';
import { type Gate, startGate } from '../../proxy/gate.ts';
import type { Log } from '../../proxy/state/log.ts';

export interface TestGate {
  readonly url: string;
  readonly gate: Gate;
  /** Messages logged so far, oldest first. */
  readonly logged: readonly {
    readonly level: string;
    readonly msg: string;
    readonly fields: object;
  }[];
  /** Leases that are open or draining. */
  leases(): number;
  stop(): Promise<void>;
}

export type Flags = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/**
 * Starts a gate on a free port of loopback. Polls every 50 ms unless a flag says otherwise.
 * @param simulatedUrl a simulated server whose GPUs are read
 */
export async function startTestGate(flags: Flags, simulatedUrl?: string): Promise<TestGate> {
  const given = { port: 0, 'poll-interval-ms': 50, ...flags };
  const text = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [
      name,
      Array.isArray(value) ? value : String(value),
    ]),
  );
  const loaded = loadConfig({ command: 'serve', flags: text, env: {} });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const logged: { level: string; msg: string; fields: object }[] = [];
  const note =
    (level: string): Log['info'] =>
    (msg, fields = {}) =>
      void logged.push({ level, msg, fields });
  const log: Log = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  };
  const readSimulated =
    simulatedUrl === undefined
      ? null
      : async (signal: AbortSignal): Promise<unknown> =>
          (await fetch(`${simulatedUrl}/simulated/gpu`, { signal })).json();
  const gate = await startGate(loaded.config, log, readSimulated);
  return {
    url: `http://127.0.0.1:${gate.port}`,
    gate,
    logged,
    leases: () => gate.overview.instances().reduce((sum, { leases }) => sum + leases, 0),
    stop: () => gate.drain(),
  };
}
