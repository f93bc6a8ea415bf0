/**
 * The simulator's engine models against the engines of the simulated server,
 * which run in slices of time: the same work must meet the same fate.
 *
 * The paces differ in two ways that can't be matched. The server computes
 * prompts beside decoding, the models make the step longer by them; so prompts
 * are fast here (1 ms for 1,000 tokens). And the server gives out tokens at a
 * steady rate where the models make whole steps, so that times differ by up to
 * two steps, and who comes first at the edge of the memory may differ too. Of
 * preemptions the models make fewer: as vLLM they let nobody in by a step that
 * preempted, where the server looks for room in every slice.
 */
import { expect, test } from '@jest/globals';
import { DynamicEngine } from '../../backend-adapters/simulated-server/dynamic-engine.ts';
import type { Engine } from '../../backend-adapters/simulated-server/engine.ts';
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import { PagedEngine } from '../../backend-adapters/simulated-server/paged-engine.ts';
import { SimulatedGpu } from '../../backend-adapters/simulated-server/simulated-gpu.ts';
import { SlotsEngine } from '../../backend-adapters/simulated-server/slots-engine.ts';
import type { StepTime } from '../../proxy/simulate/engine-model.ts';
import { createEngine, type EngineSettings } from '../../proxy/simulate/engines/create-engine.ts';
import {
  type Arrival,
  type EngineRun,
  runModel,
  runSimulated,
  type WorkloadShape,
  workload,
} from '../support/engine-runs.ts';

const MIB = 2 ** 20;
const SLICE_MS = 1;
const CUDA_CONTEXT_BYTES = 600 * MIB;

/** `decodeRate` as a step: 1 / rate = (1 + slowdown x (n - 1)) / rate of one. */
const RATES = { decodeTokensPerSecond: 100, batchSlowdown: 0.03, prefillTokensPerSecond: 1e6 };
const STEP_TIME: StepTime = {
  baseMs: (1000 / RATES.decodeTokensPerSecond) * (1 - RATES.batchSlowdown),
  perSequenceMs: (1000 / RATES.decodeTokensPerSecond) * RATES.batchSlowdown,
  perPrefillTokenMs: 1000 / RATES.prefillTokensPerSecond,
  perKvTokenMs: 0,
};
const BATCH = { stepTime: STEP_TIME, maxBatchedTokens: 8192 };
const MODEL = modelGeometry('gpt-oss-20b');

interface Pair {
  readonly settings: EngineSettings;
  readonly server: () => { readonly engine: Engine; readonly usedUnits: () => number };
}

function dynamic(
  budgetMib: number,
  attention: 'flash' | 'eager',
  maxGenerations: number | null,
): Pair {
  const budgetBytes = budgetMib * MIB;
  return {
    settings: { ...BATCH, memory: 'dynamic', model: MODEL, budgetBytes, attention, maxGenerations },
    server: () => {
      const gpu = new SimulatedGpu(1, CUDA_CONTEXT_BYTES + budgetBytes, 0);
      const engine = new DynamicEngine(MODEL, gpu, { ...RATES, attention, maxGenerations });
      return { engine, usedUnits: () => gpu.liveBytes };
    },
  };
}

function paged(
  usableBlocks: number,
  windowTokens: number | null,
  maxSequences: number,
  maxBatchedTokens = 8_192,
): Pair {
  const shape = { numGpuBlocks: usableBlocks + 1, windowTokens, maxSequences, maxBatchedTokens };
  return {
    settings: { ...BATCH, memory: 'paged', ...shape },
    server: () => {
      const engine = new PagedEngine({ ...RATES, ...shape });
      return { engine, usedUnits: () => engine.usedBlocks };
    },
  };
}

function slots(contextTokens: number, count: number, unified: boolean): Pair {
  const shape = { contextTokens, slots: count, unified };
  return {
    settings: { ...BATCH, memory: 'slots', ...shape },
    server: () => {
      const engine = new SlotsEngine({ ...RATES, ...shape });
      const usedUnits = () =>
        engine.slots
          .filter(({ isProcessing }) => isProcessing)
          .reduce((sum, { cells }) => sum + cells.length, 0);
      return { engine, usedUnits };
    },
  };
}

const SPREAD: WorkloadShape = {
  seed: 11,
  requests: 80,
  meanGapMs: 150,
  maxPromptTokens: 2_000,
  maxOutputTokens: 300,
};
/** All at once: the peak does not hang on who meets whom. */
const BURST: WorkloadShape = { ...SPREAD, requests: 30, meanGapMs: 0 };
const LONG: WorkloadShape = { ...SPREAD, maxOutputTokens: 900 };

interface Case {
  readonly name: string;
  readonly pair: Pair;
  readonly load: WorkloadShape;
  /** Of the peaks' ratio from 1; null: the peak is a chance meeting of two prompts. */
  readonly peakWithin: number | null;
  /** What goes wrong, so that no case is easier than it looks. */
  readonly overruns: 'none' | 'some';
}

const CASES: readonly Case[] = [
  {
    name: 'dynamic, with room',
    pair: dynamic(8_000, 'flash', null),
    load: SPREAD,
    peakWithin: null,
    overruns: 'none',
  },
  {
    name: 'dynamic, a burst',
    pair: dynamic(12_000, 'flash', null),
    load: BURST,
    peakWithin: 0.02,
    overruns: 'none',
  },
  {
    name: 'dynamic, overloaded',
    pair: dynamic(700, 'flash', null),
    load: SPREAD,
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'dynamic, a burst that does not fit',
    pair: dynamic(4_000, 'flash', null),
    load: BURST,
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'dynamic, two at a time',
    pair: dynamic(700, 'flash', 2),
    load: { ...SPREAD, requests: 30 },
    peakWithin: 0.02,
    overruns: 'none',
  },
  {
    name: 'dynamic, eager',
    pair: dynamic(2_000, 'eager', null),
    load: SPREAD,
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'dynamic, prompts shorter than the window',
    pair: dynamic(250, 'flash', null),
    load: { ...SPREAD, maxPromptTokens: 100, meanGapMs: 50 },
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'paged, with room',
    pair: paged(20_000, 128, 256),
    load: SPREAD,
    peakWithin: null,
    overruns: 'none',
  },
  {
    name: 'paged, a burst',
    // All of it in one step: the server takes the blocks of a first chunk beyond a step's tokens.
    pair: paged(20_000, 128, 256, 65_536),
    load: BURST,
    peakWithin: 0.02,
    overruns: 'none',
  },
  {
    name: 'paged, preempting',
    pair: paged(900, 128, 256),
    load: LONG,
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'paged, one group of layers',
    pair: paged(700, null, 256),
    load: LONG,
    peakWithin: 0.02,
    overruns: 'some',
  },
  {
    name: 'paged, eight at a time',
    pair: paged(20_000, 128, 8),
    load: SPREAD,
    peakWithin: null,
    overruns: 'none',
  },
  {
    name: 'slots apart',
    pair: slots(32_768, 8, false),
    load: SPREAD,
    peakWithin: 0.02,
    overruns: 'none',
  },
  {
    name: 'slots, one pool with room',
    pair: slots(65_536, 16, true),
    load: SPREAD,
    peakWithin: 0.02,
    overruns: 'none',
  },
  {
    name: 'slots, one pool overloaded',
    pair: slots(16_384, 32, true),
    load: { ...SPREAD, meanGapMs: 60 },
    // The batch that does not fit is never held.
    peakWithin: 0.06,
    overruns: 'some',
  },
];

test.each(CASES)('$name', ({ pair, load, peakWithin, overruns }) => {
  const arrivals = workload(load);
  const model = runModel(createEngine(pair.settings), arrivals);
  const { engine, usedUnits } = pair.server();
  const server = runSimulated(engine, arrivals, usedUnits, SLICE_MS);
  const errors = endErrors(model, server, arrivals);

  const wrong = failures(model) + model.preemptions;
  if (overruns === 'none') expect(wrong).toBe(0);
  else expect(wrong).toBeGreaterThan(0);
  expect(Math.abs(failures(model) - failures(server))).toBeLessThanOrEqual(
    Math.ceil(0.15 * failures(server)),
  );
  expect(Math.abs(model.preemptions - server.preemptions)).toBeLessThanOrEqual(
    Math.ceil(0.35 * server.preemptions),
  );
  if (peakWithin !== null) {
    expect(Math.abs(model.peakUnits / server.peakUnits - 1)).toBeLessThanOrEqual(peakWithin);
  }
  // The worst are jobs of a few tokens, of which a step is a large part.
  expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(0.03);
  expect(errors[Math.floor(errors.length * 0.9)]).toBeLessThan(0.2);
});

function failures({ outcomes }: EngineRun): number {
  return outcomes.filter(({ end }) => end === 'oom' || end === 'overflow').length;
}

/** Of the time from arrival to end of each job that both finished, relative, in rising order. */
function endErrors(model: EngineRun, server: EngineRun, arrivals: readonly Arrival[]) {
  return model.outcomes
    .flatMap((outcome, index) => {
      const other = server.outcomes[index];
      if (outcome.end !== 'finished' || other?.end !== 'finished') return [];
      const arrivedMs = arrivals[index]?.atMs ?? 0;
      const differenceMs = Math.abs((outcome.endMs ?? 0) - (other.endMs ?? 0));
      return [differenceMs / ((other.endMs ?? 0) - arrivedMs)];
    })
    .sort((one, other) => one - other);
}
