/** kvgate in front of servers that lay out KV in another way than it assumed: it finds out and says so. */
import { afterEach, expect, test } from '@jest/globals';
import type { PagedOptions } from '../../backend-adapters/simulated-server/options.ts';
import { loadConfig } from '../../proxy/config/load.ts';
import { examine } from '../../proxy/doctor.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { SimulatedServers } from '../support/simulated-http.ts';

const servers = new SimulatedServers();
const gates: TestGate[] = [];

afterEach(async () => {
  await Promise.all(gates.splice(0).map((gate) => gate.stop()));
  await servers.closeAll();
});

/** vLLM's command line is not seen here, so 16,384 tokens in flight and the hybrid manager are assumed. */
async function guarded(options: Partial<PagedOptions>) {
  const { url } = await servers.start({
    personality: 'paged',
    contextTokens: 32_768,
    speed: 10,
    ...options,
  });
  const gate = await startTestGate({
    backend: [url],
    'gpu-source': 'none',
    'drain-timeout': 0,
  });
  gates.push(gate);
  return { gate, url };
}

function rowOf({ gate }: TestGate) {
  const [row] = gate.overview.instances();
  if (row === undefined) throw new Error('no instance');
  return row;
}

const logged = (gate: TestGate, part: string) =>
  gate.logged.filter(({ msg }) => msg.includes(part));

/** Streams an answer that takes a few polls, from a prompt of its own. */
async function generate(gate: TestGate, number: number): Promise<void> {
  const prompt = `${number} ${'word '.repeat(2_000)}`;
  const answer = await fetch(`${gate.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens: 200, stream: true, ignore_eos: true }),
  });
  expect(answer.status).toBe(200);
  await answer.text();
}

const MAX_REQUESTS = 30;

async function generateUntil(gate: TestGate, isEnough: () => boolean): Promise<void> {
  for (let request = 0; request < MAX_REQUESTS && !isEnough(); request += 1) {
    await generate(gate, request);
  }
  expect(isEnough()).toBe(true);
}

test('a server that is as assumed is left as it is', async () => {
  const { gate } = await guarded({});
  await generateUntil(gate, () => (rowOf(gate).calibration?.samples ?? 0) >= 3);
  expect(rowOf(gate).calibration).toMatchObject({ layout: 'as assumed', slope: 1, alarm: null });
  expect(logged(gate, 'Memory layout')).toEqual([]);
  expect(logged(gate, 'Calibration')).toEqual([]);
});

test('what a server tells of itself is used before its first request', async () => {
  const { gate, url } = await guarded({ tellsConcurrency: true, maxBatchedTokens: 2048 });
  expect(rowOf(gate).calibration).toMatchObject({
    layout: '2048 tokens in flight',
    samples: 0,
    alarm: null,
  });
  expect(logged(gate, 'Memory layout identified')).toEqual([
    expect.objectContaining({
      level: 'info',
      fields: expect.objectContaining({ detail: expect.stringContaining('2048 tokens in flight') }),
    }),
  ]);
  const loaded = loadConfig({
    command: 'serve',
    flags: { backend: [url], 'gpu-source': 'none' },
    env: {},
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  expect((await examine(loaded.config)).text).toMatch(
    /- .*fit another way to lay out KV: 2048 tokens in flight/,
  );
});

test('what its gauge shows is used after a few requests', async () => {
  const { gate } = await guarded({ hybridManager: false });
  await generateUntil(gate, () => rowOf(gate).calibration?.layout !== 'as assumed');
  expect(rowOf(gate).calibration).toMatchObject({
    layout: 'hybrid KV cache manager off',
    slope: 1,
    alarm: null,
  });
  expect(logged(gate, 'Memory layout identified')).toMatchObject([{ level: 'warn' }]);
  const stats = await (await fetch(`${gate.url}/stats`)).text();
  expect(stats).toContain('hybrid KV cache manager off');
  const metrics = await (await fetch(`${gate.url}/metrics`)).text();
  expect(metrics).toMatch(/^kvgate_calibration_alarm\{.*\} 0$/m);
});
