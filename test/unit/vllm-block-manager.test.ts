/** The simulated block tables against recordings of vLLM's own. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { admissionBlocks, type Keeps, simulateRequest } from '../support/vllm-block-manager.ts';

interface Recorded {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly chunkTokens: number;
  readonly blockTokens: number;
  readonly batches: number;
  readonly contextTokens: number;
  readonly lookaheadTokens: number;
  readonly groups: readonly Keeps[];
  readonly guessTokens?: number;
  readonly hitTokens?: number;
  readonly admissionBlocks?: number;
  /** [tokens, blocks of each group, and after a hit those that no cache gave], where one changes. */
  readonly held: readonly (readonly number[])[];
}

function recordings(name: string): [number, Recorded][] {
  const file = new URL(`../fixtures/engines/vllm/${name}`, import.meta.url);
  const { cases }: { readonly cases: readonly Recorded[] } = JSON.parse(readFileSync(file, 'utf8'));
  return cases.map((recorded, index) => [index, recorded]);
}

function simulated({ groups, blockTokens, ...request }: Recorded) {
  return { ...request, groups: groups.map((keeps) => ({ blockTokens, keeps })) };
}

/** Without those in which no count is another than in the one before. */
function changes(steps: readonly (readonly number[])[]) {
  return steps.filter(
    (step, index) => String(step.slice(1)) !== String(steps[index - 1]?.slice(1)),
  );
}

const RUNS = recordings('block-counts.json');
const HITS = recordings('prefix-hits.json');

describe('vLLM 0.32 as it ran', () => {
  test.each(RUNS)('case %i: blocks at every step', (_, recorded) => {
    const steps = simulateRequest(simulated(recorded)).map(({ tokens, held }) => [tokens, ...held]);
    expect(changes(steps)).toEqual(recorded.held);
  });

  test.each(RUNS)('case %i: blocks asked for at admission', (_, recorded) => {
    const asked = admissionBlocks(simulated(recorded)).reduce((sum, blocks) => sum + blocks, 0);
    expect(asked).toBe(recorded.admissionBlocks);
  });

  test.each(HITS)('hit %i: blocks at every step, and those of its own', (_, recorded) => {
    const steps = simulateRequest(simulated(recorded));
    const counts = steps.map(({ tokens, held, own }) => [tokens, ...held, ...own]);
    expect(changes(counts)).toEqual(recorded.held);
  });
});
