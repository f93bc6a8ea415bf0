/**
 * Every kind of engine under more than its memory holds, behind kvgate: an
 * estimate that is too small shows as an out-of-memory error, an overflow of the
 * shared pool or a preemption, by the simulated engine's own accounting.
 */
import { afterAll, describe, expect, test } from '@jest/globals';
import type { SimulatedOptions } from '../../backend-adapters/simulated-server/options.ts';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { type Flags, startTestGate } from '../support/gate.ts';
import { runMixedLoad } from '../support/mixed-load.ts';

const GIB = 2 ** 30;
const REQUESTS = 100;

interface Kind {
  readonly name: string;
  readonly server: SimulatedOptions;
  readonly flags: Flags;
  readonly largestPromptTokens: number;
}

const KINDS: readonly Kind[] = [
  {
    name: 'dynamic, flash',
    server: { personality: 'dynamic', attention: 'flash', gpuTotalBytes: 24 * GIB },
    flags: { attention: 'flash' },
    largestPromptTokens: 14_000,
  },
  {
    name: 'dynamic, eager',
    server: { personality: 'dynamic', attention: 'eager', gpuTotalBytes: 24 * GIB },
    flags: { attention: 'eager' },
    largestPromptTokens: 3_000,
  },
  {
    name: 'paged',
    server: { personality: 'paged', numGpuBlocks: 2_000, contextTokens: 8_192 },
    flags: {},
    largestPromptTokens: 6_000,
  },
  {
    name: 'slots, one pool',
    server: { personality: 'slots', contextTokens: 16_384 },
    flags: {},
    largestPromptTokens: 6_000,
  },
  {
    name: 'slots apart',
    server: { personality: 'slots', contextTokens: 32_768, slots: 4, unified: false },
    flags: { 'kv-layout': 'split' },
    largestPromptTokens: 6_000,
  },
];

const seen: { readonly name: string; readonly overruns: number; readonly served: number }[] = [];
afterAll(() => {
  expectAccuracy({
    part: 'under-estimates that caused an OOM',
    bar: '0',
    seen: `${seen.reduce((sum, { overruns }) => sum + overruns, 0)} in ${seen.reduce((sum, { served }) => sum + served, 0)} requests`,
    against: `the simulated server: ${seen.map(({ name }) => name).join('; ')}`,
    holds: seen.length === KINDS.length && seen.every(({ overruns }) => overruns === 0),
  });
});

describe.each(KINDS)('$name', ({ name, server, flags, largestPromptTokens }) => {
  test('no request overruns the memory, none took more than estimated, all are served', async () => {
    const simulated = createSimulatedServer({ ...server, speed: 300 });
    const { url } = await simulated.listen(0, '127.0.0.1');
    const gate = await startTestGate(
      { backend: [url], 'queue-timeout': 600, 'queue-max': 1_000, ...flags },
      url,
    );
    try {
      const outcomes = await runMixedLoad({
        url: gate.url,
        requests: REQUESTS,
        clients: 24,
        wanted: (at) => wanted(at, largestPromptTokens),
        leaves: (at) => at % 11 === 10,
        sideDoors: [],
      });
      const { oom, overflow, preemptions } = simulated.state();
      seen.push({ name, overruns: oom + overflow + preemptions, served: REQUESTS });
      expect({ oom, overflow, preemptions }).toEqual({ oom: 0, overflow: 0, preemptions: 0 });
      const { 200: served = 0, '200, left': left = 0 } = outcomes;
      expect(served + left).toBe(REQUESTS);
      const page = await (await fetch(`${gate.url}/metrics`)).text();
      expect(page).toMatch(/^kvgate_prompt_tokens_error_ratio_count\{.*\} [1-9]/m);
      expect(page).not.toMatch(/^kvgate_estimate_under_total\{/m);
      expect(page).not.toMatch(/^kvgate_prompt_tokens_outside_bounds_total\{/m);
    } finally {
      await gate.stop();
      await simulated.close();
    }
  }, 120_000);
});

/** Sizes spread over what fits, some of them as large as can be; every third is not streamed. */
function wanted(at: number, largestPromptTokens: number) {
  const share = ((at * 7919) % 1000) / 1000;
  const promptTokens = Math.ceil(largestPromptTokens * (at % 8 === 0 ? 1 : share ** 2)) + 1;
  const streams = at % 3 !== 2;
  return {
    path: '/v1/completions',
    body: {
      model: 'gpt-oss-20b',
      prompt: `${at} `.padEnd(promptTokens, 'k'),
      max_tokens: 16 + ((at * 31) % 400),
      stream: streams,
      ...(at % 9 === 4 ? { n: 2 } : {}),
    },
    streams,
  };
}
