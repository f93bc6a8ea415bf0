/**
 * Latency through the gate in real time, under a mixed load that keeps it queueing.
 *
 * The simulated server runs at the speed of gpt-oss-20b (MXFP4) on an NVIDIA
 * GB10 (DGX Spark) under llama.cpp, as its maintainers published it: ggml-org/llama.cpp,
 * benches/dgx-spark.md at commit 4c7e9893c4ca8eec35d032726d14b74fae76cff8,
 * `llama-batched-bench`, build 2f68ce7cf (6918):
 *
 *     |    PP |     TG |    B | S_PP t/s | S_TG t/s |
 *     |  4096 |     32 |    1 |  3513.60 |    77.97 |
 *     |  4096 |     32 |    4 |  3521.53 |   139.90 |
 *
 * The rows of 4,096 tokens stand for the whole load, whose longest prompt is
 * about that long: answers to the shorter prompts of the table are decoded
 * faster. Its row of one prompt of 512 tokens is left aside as a warm-up: two at
 * once take less time there than one.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { percentile, reportFigures, table } from '../support/figures.ts';
import { GuardedServers } from '../support/guarded-server.ts';

const PREFILL_TOKENS_PER_SECOND = 3_513.6;
const DECODE_ALONE_TOKENS_PER_SECOND = 77.97;
const SLOTS = 4;
/** Of all four together. */
const DECODE_FOUR_TOKENS_PER_SECOND = 139.9;

const REQUESTS = 64;
/** More than there are slots, so that the gate's queue is part of what is measured. */
const CLIENTS = 6;

interface LoadRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly stream: boolean;
}

interface Served {
  readonly ok: boolean;
  /** Null where the answer was not streamed. */
  readonly ttftSeconds: number | null;
  readonly totalSeconds: number;
  readonly queued: boolean;
}

/** From `low` to `high`, most near `low`, as prompts and answers of a chat are. */
function skewed(low: number, high: number, rank: number): number {
  return Math.round(low * (high / low) ** (((rank + 0.5) / REQUESTS) ** 2));
}

/** Lengths from 200 to 4,000 and from 50 to 400 tokens in every combination; one in four not streamed. */
const LOAD: readonly LoadRequest[] = Array.from({ length: REQUESTS }, (_, index) => ({
  // Strides without a common divisor with the number of requests: each rank comes once.
  promptTokens: skewed(200, 4_000, (index * 37) % REQUESTS),
  outputTokens: skewed(50, 400, (index * 29 + 11) % REQUESTS),
  stream: index % 4 !== 3,
}));

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/**
 * llama.cpp computes prompts and answers one after the other, the simulated
 * server at the same time. So decoding goes at the share of the GPU's time that
 * the prompts of this load leave to it, and both take as long for the whole load.
 */
function decodeShare(): number {
  const prefillSeconds = sum(LOAD.map((each) => each.promptTokens)) / PREFILL_TOKENS_PER_SECOND;
  const decodeSeconds = sum(LOAD.map((each) => each.outputTokens)) / DECODE_FOUR_TOKENS_PER_SECOND;
  return decodeSeconds / (prefillSeconds + decodeSeconds);
}

/** Tokens that the simulated tokenizer adds to one user message. */
const FRAMING_TOKENS = 68;

async function ask(url: string, request: LoadRequest, client: number): Promise<Served> {
  const sentMs = performance.now();
  const seconds = () => (performance.now() - sentMs) / 1_000;
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-session-id': `client-${client}` },
    body: JSON.stringify({
      messages: [{ role: 'user', content: 'k'.repeat(request.promptTokens - FRAMING_TOKENS) }],
      max_tokens: request.outputTokens,
      stream: request.stream,
      cache_prompt: false,
    }),
  });
  let text = '';
  let ttftSeconds: number | null = null;
  const decoder = new TextDecoder();
  for await (const bytes of answer.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (request.stream && ttftSeconds === null && /"content":"[^"]/.test(text)) {
      ttftSeconds = seconds();
    }
  }
  const ended = request.stream ? text.endsWith('data: [DONE]\n\n') : /"usage":/.test(text);
  return {
    ok: answer.status === 200 && ended && answer.headers.get('x-kvgate-changed') === null,
    ttftSeconds,
    totalSeconds: seconds(),
    queued: answer.headers.has('x-kvgate-queued-ms'),
  };
}

/** `CLIENTS` clients, each of which sends its next request when it has its answer. */
async function run(url: string): Promise<readonly Served[]> {
  const waiting = [...LOAD];
  const served: Served[] = [];
  const work = async (client: number) => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      served.push(await ask(url, next, client));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(client)));
  return served;
}

const servers = new GuardedServers();
let served: readonly Served[];
let ttftSeconds: readonly number[];
let totalSeconds: readonly number[];

beforeAll(async () => {
  const { url } = await servers.start(
    {
      personality: 'slots',
      slots: SLOTS,
      contextTokens: SLOTS * 8_192,
      speed: 1,
      prefillTokensPerSecond: PREFILL_TOKENS_PER_SECOND,
      decodeTokensPerSecond: DECODE_ALONE_TOKENS_PER_SECOND * decodeShare(),
      batchSlowdown:
        (DECODE_ALONE_TOKENS_PER_SECOND / (DECODE_FOUR_TOKENS_PER_SECOND / SLOTS) - 1) /
        (SLOTS - 1),
    },
    { 'kv-layout': 'split' },
  );
  const startedMs = performance.now();
  served = await run(url);
  const wallSeconds = (performance.now() - startedMs) / 1_000;
  ttftSeconds = served.flatMap((each) => each.ttftSeconds ?? []);
  totalSeconds = served.map((each) => each.totalSeconds);
  const row = (name: string, values: readonly number[], limit: string) => [
    name,
    ...[50, 95, 99].map((p) => percentile(values, p).toFixed(2)),
    limit,
  ];
  const figures = table([
    ['seconds', 'p50', 'p95', 'p99', 'limit of p95'],
    row('time to first token', ttftSeconds, '7.00'),
    row('end to end', totalSeconds, '20.00'),
  ]);
  const failed = served.filter(({ ok }) => !ok).length;
  const queued = served.filter((each) => each.queued).length;
  reportFigures(
    `${REQUESTS} requests of ${CLIENTS} clients on ${SLOTS} slots in ${wallSeconds.toFixed(1)} s: ` +
      `${failed} failed, ${queued} waited in the gate's queue\n${figures}`,
  );
}, 150_000);
afterAll(() => servers.closeAll());

describe('performance', () => {
  test('time to first token: p95 is at most 7 s', () => {
    expect(ttftSeconds).toHaveLength((REQUESTS * 3) / 4);
    expect(percentile(ttftSeconds, 95)).toBeLessThanOrEqual(7);
  });

  test('end to end: p95 is at most 20 s', () => {
    expect(totalSeconds).toHaveLength(REQUESTS);
    expect(percentile(totalSeconds, 95)).toBeLessThanOrEqual(20);
  });

  test('errors: fewer than 0.5 % of the requests, and some of them had to queue', () => {
    expect(served.filter(({ ok }) => !ok).length / REQUESTS).toBeLessThan(0.005);
    expect(served.filter(({ queued }) => queued).length).toBeGreaterThan(0);
  });
});
