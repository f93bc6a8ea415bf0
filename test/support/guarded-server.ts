/** Simulated servers with a gate in front of each; `closeAll` ends them all. */
import { expect } from '@jest/globals';
import type {
  SimulatedOptions,
  SimulatedServer,
} from '../../backend-adapters/simulated-server/server.ts';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { eventually } from './eventually.ts';
import { type Flags, startTestGate, type TestGate } from './gate.ts';

export interface GuardedServer {
  readonly server: SimulatedServer;
  /** The server itself, past the gate. */
  readonly backendUrl: string;
  readonly gate: TestGate;
  /** The gate. */
  readonly url: string;
}

export class GuardedServers {
  readonly #closing: (() => Promise<void>)[] = [];

  /** A simulated server alone, 100 times as fast as the GPU it stands for. */
  async backend(options: SimulatedOptions): Promise<{ server: SimulatedServer; url: string }> {
    const server = createSimulatedServer({ speed: 100, ...options });
    this.#closing.push(() => server.close());
    return { server, ...(await server.listen(0, '127.0.0.1')) };
  }

  /** A gate in front of the backends that `flags` name; it reads the GPUs of `simulatedUrl`. */
  async gate(flags: Flags, simulatedUrl?: string): Promise<TestGate> {
    const gate = await startTestGate({ 'drain-timeout': 1, ...flags }, simulatedUrl);
    this.#closing.push(() => gate.stop());
    return gate;
  }

  async start(options: SimulatedOptions, flags: Flags = {}): Promise<GuardedServer> {
    const { server, url: backendUrl } = await this.backend(options);
    const gate = await this.gate({ backend: [backendUrl], ...flags }, backendUrl);
    return { server, backendUrl, gate, url: gate.url };
  }

  /** Gates first: a backend that goes away while they drain would look like a fault. */
  async closeAll(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }
}

/** Leases the gate holds, over all its instances. */
export function leasesOf({ gate }: TestGate): number {
  return gate.overview.instances().reduce((sum, { leases }) => sum + leases, 0);
}

/**
 * Lets another process take memory on the GPU until the gate sees that pressure.
 * For an idle server of the `dynamic` personality.
 * @param budgetBytes what leases may fill while no other process is there
 */
export async function bringPressure(
  { server, gate }: Pick<GuardedServer, 'server' | 'gate'>,
  budgetBytes: number,
  pressure: number,
): Promise<void> {
  server.gpu.setForeignBytes(Math.round(pressure * budgetBytes));
  await eventually(() => {
    const seen = gate.gate.overview.instances().map((instance) => instance.pressure);
    expect(seen).toEqual([expect.closeTo(pressure, 2)]);
  });
}

/** What leases may fill of the gate's one instance now, in its own units. */
export function capacityOf({ gate }: TestGate): number {
  const [instance] = gate.overview.instances();
  return instance?.capacityUnits ?? Number.NaN;
}

/** The samples of one metric on a page of Prometheus text, labels as written. */
export function samplesOf(page: string, name: string): { labels: string; value: number }[] {
  return page.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
    return match?.[1] === name ? [{ labels: match[2] ?? '', value: Number(match[3]) }] : [];
  });
}
