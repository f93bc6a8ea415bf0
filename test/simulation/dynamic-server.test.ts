/**
 * A server that allocates KV for each request, on an 81,559 MiB GPU with
 * gpt-oss-20b in MXFP4: what long prompts do to it, unguarded and guarded. Its
 * memory accounting is its own, so an error of kvgate's estimate is an OOM here.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { type ChatRequest, countStatuses, type Outcome, sendBursts } from '../support/burst.ts';
import { startTestGate } from '../support/gate.ts';

const SPEED = 50;
/** Of real time: 2.5 simulated seconds, while sixteen long prompts take 20 to prefill. */
const GAP_MS = 50;

type Attention = 'flash' | 'eager';

const long: ChatRequest = { promptTokens: 12_288, maxTokens: 1_024, stream: true };
const longWhole: ChatRequest = { ...long, stream: false };
const short: ChatRequest = { promptTokens: 400, maxTokens: 256, stream: true };

function burst(longCount: number, shortCount: number): ChatRequest[] {
  const longOnes = Array.from({ length: longCount }, (_, at) => (at % 4 === 3 ? longWhole : long));
  return [...longOnes, ...Array.from({ length: shortCount }, () => short)];
}

/**
 * 12k-token prompts, 4 and 16 at a time, mixed with short ones. Sixteen alone
 * would fit, at 72.6 GB of 85.5; the next sixteen come before they are through.
 */
const LINEAR = [burst(4, 4), burst(4, 4), burst(16, 8), burst(16, 8), burst(16, 8)];

const eagerLong: ChatRequest = { promptTokens: 8_192, maxTokens: 512, stream: true };
const tooLong: ChatRequest = { promptTokens: 16_384, maxTokens: 512, stream: true };
const EAGER = [
  [eagerLong, eagerLong, short, short],
  [...Array.from({ length: 8 }, () => eagerLong), tooLong, short, short],
  [...Array.from({ length: 8 }, () => eagerLong), tooLong, short, short],
];

async function run(attention: Attention, bursts: readonly ChatRequest[][], guarded: boolean) {
  const server = createSimulatedServer({ personality: 'dynamic', attention, speed: SPEED });
  const { url } = await server.listen(0, '127.0.0.1');
  const gate = guarded
    ? await startTestGate(
        { backend: [url], attention, 'queue-timeout': 600, 'queue-max': 1_000 },
        url,
      )
    : null;
  const outcomes = await sendBursts(gate?.url ?? url, bursts, GAP_MS);
  const state = server.state();
  await gate?.stop();
  await server.close();
  return { outcomes, state };
}

const rows: string[] = [];
afterAll(() => console.info(rows.join('\n')));

function report(name: string, outcomes: readonly Outcome[], oom: number): void {
  const counts = JSON.stringify(countStatuses(outcomes));
  rows.push(`${name}: ${outcomes.length} requests, ${oom} OOM, statuses ${counts}`);
}

describe.each<{ attention: Attention; bursts: ChatRequest[][]; refused: number }>([
  { attention: 'flash', bursts: LINEAR, refused: 0 },
  { attention: 'eager', bursts: EAGER, refused: 2 },
])('$attention attention', ({ attention, bursts, refused }) => {
  test('unguarded, at least one request in ten dies of OOM', async () => {
    const { outcomes, state } = await run(attention, bursts, false);
    report(`${attention}, unguarded`, outcomes, state.oom);
    expect(state.oom).toBeGreaterThanOrEqual(outcomes.length / 10);
    expect(outcomes.filter(({ complete }) => !complete)).toHaveLength(state.oom);
  }, 120_000);

  test('guarded, every request that can fit is served and none dies', async () => {
    const { outcomes, state } = await run(attention, bursts, true);
    report(`${attention}, guarded`, outcomes, state.oom);
    expect(state.oom).toBe(0);
    expect(outcomes.filter(({ status }) => status >= 500)).toEqual([]);
    const never = outcomes.filter(({ code }) => code === 'context_length_exceeded');
    expect(never.map(({ status, request }) => [status, request])).toEqual(
      Array.from({ length: refused }, () => [400, tooLong]),
    );
    const served = outcomes.filter(({ complete }) => complete);
    expect(served).toHaveLength(outcomes.length - refused);
  }, 240_000);
});
