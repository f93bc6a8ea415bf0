/**
 * A real llama-server with its default flags: one pool for all slots, whose
 * overflow kills every request in flight. The same load three times: directly,
 * through kvgate with a patient queue, and with an impatient one.
 */
import { afterAll, expect, test } from '@jest/globals';
import { type ChatRequest, countStatuses, type Outcome, send } from '../support/burst.ts';
import { describeReal } from '../support/describe-real.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { startLlamaServer } from '../support/llama-server.ts';

const POOL_CELLS = 4_096;

/** 40 requests, prompt and max tokens 8 times the pool together; any three of the large ones overflow it. */
const LOAD: readonly ChatRequest[] = [
  ...Array.from({ length: 16 }, () => ({ promptTokens: 1_000, maxTokens: 900, stream: false })),
  ...Array.from({ length: 24 }, () => ({ promptTokens: 78, maxTokens: 20, stream: true })),
];

const rows: string[] = [];

async function withGate<T>(
  queueTimeoutSeconds: number,
  use: (gate: TestGate) => Promise<T>,
): Promise<T> {
  const server = await startLlamaServer(['-c', String(POOL_CELLS)]);
  const gate = await startTestGate({
    backend: [server.url],
    'gpu-source': 'none',
    'queue-timeout': queueTimeoutSeconds,
    'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
  });
  try {
    return await use(gate);
  } finally {
    await gate.stop();
    await server.stop();
  }
}

function all(url: string): Promise<readonly Outcome[]> {
  return Promise.all(LOAD.map((request) => send(url, request)));
}

function report(name: string, outcomes: readonly Outcome[]): void {
  rows.push(`${name}: ${JSON.stringify(countStatuses(outcomes))}`);
}

describeReal('40 requests, 8 times the unified pool of llama-server -c 4096', () => {
  afterAll(() => console.info(rows.join('\n')));

  test('the load is what it claims to be', () => {
    const tokens = LOAD.reduce(
      (sum, { promptTokens, maxTokens }) => sum + promptTokens + maxTokens,
      0,
    );
    expect(tokens / POOL_CELLS).toBeCloseTo(8, 1);
    expect(LOAD).toHaveLength(40);
  });

  test('directly, the pool overflows and kills requests', async () => {
    const server = await startLlamaServer(['-c', String(POOL_CELLS)]);
    const outcomes = await all(server.url).finally(() => server.stop());
    report('directly', outcomes);
    expect(outcomes.filter(({ complete }) => !complete).length).toBeGreaterThanOrEqual(12);
  }, 120_000);

  test('through kvgate with a queue of 120 s, 40 of 40 are served', async () => {
    const outcomes = await withGate(120, (gate) => all(gate.url));
    report('kvgate, queue-timeout 120', outcomes);
    expect(outcomes.filter(({ complete }) => complete)).toHaveLength(40);
  }, 180_000);

  test('with a queue of 1 s, every answer is 200 or a 429 whose Retry-After is true', async () => {
    await withGate(1, async (gate) => {
      const outcomes = await all(gate.url);
      const refusedAtMs = Date.now();
      report('kvgate, queue-timeout 1', outcomes);
      const served = outcomes.filter(({ complete }) => complete);
      const refused = outcomes.filter(({ status }) => status === 429);
      expect(served.length + refused.length).toBe(40);
      // Two of the large ones fit at once, whatever else is refused.
      expect(served.length).toBeGreaterThanOrEqual(2);
      for (const { retryAfterMs } of refused) {
        expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
        expect(retryAfterMs).toBeLessThanOrEqual(30_000);
      }
      // Who obeys it finds room: all refused were answered before `refusedAtMs`.
      const longest = Math.max(0, ...refused.map(({ retryAfterMs }) => retryAfterMs ?? 0));
      await new Promise((resolve) => setTimeout(resolve, refusedAtMs + longest - Date.now()));
      const [large, ...rest] = refused;
      if (large !== undefined) {
        expect(rest.length + 1).toBe(refused.length);
        expect((await send(gate.url, large.request)).status).toBe(200);
      }
    });
  }, 120_000);
});
