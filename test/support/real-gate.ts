/** kvgate in front of a real llama-server whose slots share one pool. */
import { expect } from '@jest/globals';
import { eventually } from './eventually.ts';
import { type Flags, startTestGate, type TestGate } from './gate.ts';
import { slotsOf } from './llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from './llama-server.ts';

export const POOL_CELLS = 4_096;

export interface RealGate {
  readonly url: string;
  readonly gate: TestGate;
  readonly server: RunningLlamaServer;
  /** Waits until no lease is left, and checks that the server is as idle as kvgate says. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Nothing is degraded, and a request that does not fit is shrunk or refused, never queued.
 * @param args more of the server's command line
 */
export async function startRealGate(
  flags: Flags = {},
  args: readonly string[] = [],
): Promise<RealGate> {
  const server = await startLlamaServer(['-c', String(POOL_CELLS), ...args]);
  const gate = await startTestGate({
    backend: [server.url],
    'gpu-source': 'none',
    'kv-layout': 'unified',
    'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    degrade: 'off',
    'admission-order': ['shrink'],
    // The suites count on what each request reserves.
    reserve: 'worst-case',
    ...flags,
  });
  return {
    url: gate.url,
    gate,
    server,
    async settled() {
      await eventually(() => expect(gate.leases()).toBe(0), 10_000);
      const busy = (await slotsOf(server)).filter((slot) => slot.is_processing);
      expect(busy).toEqual([]);
    },
    async stop() {
      await gate.stop();
      await server.stop();
    },
  };
}

/** What `X-Kvgate-Max-Tokens` says: tokens asked for, null where none were, and granted. */
export function grantOf(headers: Headers): { requested: number | null; granted: number } {
  const said = /^requested=(\d+|none); granted=(\d+)$/.exec(
    headers.get('x-kvgate-max-tokens') ?? '',
  );
  if (said === null) throw new Error('no grant is disclosed');
  return { requested: said[1] === 'none' ? null : Number(said[1]), granted: Number(said[2]) };
}
