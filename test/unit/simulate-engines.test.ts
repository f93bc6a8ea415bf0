import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import type { EngineModel, Job } from '../../proxy/simulate/engine-model.ts';
import { createEngine, type EngineSettings } from '../../proxy/simulate/engines/create-engine.ts';
import { type Arrival, runModel, workload } from '../support/engine-runs.ts';

/** One step is 10 ms and a millisecond for every 10 prompt tokens. */
const BATCH = {
  stepTime: { baseMs: 10, perSequenceMs: 0, perPrefillTokenMs: 0.1, perKvTokenMs: 0 },
  maxBatchedTokens: 100,
};
const MODEL = modelGeometry('gpt-oss-20b');

const paged = (usableBlocks: number, maxSequences = 16): EngineSettings => ({
  ...BATCH,
  memory: 'paged',
  numGpuBlocks: usableBlocks + 1,
  windowTokens: 128,
  maxSequences,
});
const slots = (contextTokens: number, count: number, unified: boolean): EngineSettings => ({
  ...BATCH,
  memory: 'slots',
  contextTokens,
  slots: count,
  unified,
});
const dynamic = (budgetMib: number, maxGenerations: number | null = null): EngineSettings => ({
  ...BATCH,
  memory: 'dynamic',
  model: MODEL,
  budgetBytes: budgetMib * 2 ** 20,
  attention: 'flash',
  maxGenerations,
});

const KINDS: ReadonlyArray<readonly [string, EngineSettings]> = [
  ['dynamic', dynamic(300)],
  ['paged', paged(120)],
  ['split slots', slots(4_096, 4, false)],
  ['unified slots', slots(2_048, 8, true)],
];

const at = (atMs: number, promptTokens: number, outputTokens: number): Arrival => ({
  atMs,
  promptTokens,
  outputTokens,
});

function ends(settings: EngineSettings, arrivals: readonly Arrival[]) {
  return runModel(createEngine(settings), arrivals).outcomes.map(({ end }) => end);
}

describe('steps', () => {
  test('a prompt is computed in chunks, then a token comes with every step', () => {
    const { outcomes } = runModel(createEngine(paged(100)), [at(0, 250, 5)]);
    // 100, 100 and 50 tokens of the prompt; then four steps more.
    expect(outcomes).toEqual([{ firstMs: 55, endMs: 95, end: 'finished', firstTokens: 1 }]);
  });

  test('who comes while a step runs joins the one after', () => {
    const { outcomes } = runModel(createEngine(paged(100)), [at(0, 100, 5), at(33, 50, 1)]);
    expect(outcomes.map(({ endMs }) => endMs)).toEqual([20 + 2 * 10 + 15 + 10, 20 + 2 * 10 + 15]);
  });

  test('whoever comes at one moment begins in one step', () => {
    const { outcomes } = runModel(createEngine(paged(100)), [at(7, 40, 1), at(7, 40, 1)]);
    expect(outcomes.map(({ firstMs }) => firstMs)).toEqual([7 + 18, 7 + 18]);
  });

  test('decoding sequences leave less of a step to prompts', () => {
    const stepTime = { baseMs: 0, perSequenceMs: 1, perPrefillTokenMs: 0, perKvTokenMs: 0.5 };
    const engine = createEngine({ ...paged(100), stepTime, maxBatchedTokens: 10 });
    const { outcomes } = runModel(engine, [at(0, 10, 4), at(0, 10, 1)]);
    // Nothing, then one sequence and 11, 12 and 13 tokens of KV; the other prompt takes 9 and 1.
    expect(outcomes.map(({ endMs }) => endMs)).toEqual([3 + 0.5 * (11 + 12 + 13), 2 + 0.5 * 23]);
  });

  test('progress shows at any moment, in whole steps', () => {
    const engine = createEngine(paged(100));
    const job = { promptTokens: 100, outputTokens: 50 };
    engine.submit(job);
    const seen = [19, 20, 29, 30, 31, 105].map((ms) => {
      engine.advanceTo(ms, SILENT);
      return engine.generatedTokens(job);
    });
    expect(seen).toEqual([0, 1, 1, 2, 2, 9]);
  });
});

describe('paged', () => {
  test('a prompt waits until all its blocks are free, and those behind it wait too', () => {
    const engine = createEngine(paged(80));
    for (const promptTokens of [400, 500, 16]) engine.submit({ promptTokens, outputTokens: 300 });
    engine.advanceTo(200, SILENT);
    expect(engine.gauges()).toMatchObject({ running: 1, waiting: 2 });
  });

  test('where no block is free the last one is preempted, and ends in full with one first token', () => {
    const run = runModel(createEngine(paged(80)), [at(0, 224, 600), at(0, 224, 600)]);
    expect(run.preemptions).toBeGreaterThan(0);
    expect(run.outcomes.map(({ end, firstTokens }) => [end, firstTokens])).toEqual([
      ['finished', 1],
      ['finished', 1],
    ]);
  });

  test('no more than max_num_seqs run', () => {
    const run = runModel(
      createEngine(paged(1_000, 2)),
      [1, 2, 3].map(() => at(0, 16, 5)),
    );
    expect(run.maxRunning).toBe(2);
  });
});

describe('slots', () => {
  test('an overflow of the one pool fails all that run, and none that wait', () => {
    const arrivals = [at(0, 400, 300), at(0, 400, 300), at(1, 50, 10)];
    expect(ends(slots(1_024, 2, true), arrivals)).toEqual(['overflow', 'overflow', 'finished']);
  });

  test('an output that fills its slot just ends', () => {
    const run = runModel(createEngine(slots(1_024, 2, false)), [at(0, 412, 5_000)]);
    expect(run.outcomes[0]).toMatchObject({ end: 'finished', endMs: 5 * 10 + 41.2 + 99 * 10 });
  });
});

test('dynamic: an allocation that does not fit ends who made it, the others go on', () => {
  const run = runModel(createEngine(dynamic(300)), [at(0, 500, 50), at(0, 700, 50), at(30, 10, 5)]);
  expect(run.outcomes.map(({ end }) => end)).toEqual(['finished', 'oom', 'finished']);
});

describe.each(KINDS)('%s', (_name, settings) => {
  test('a prompt that no empty engine could hold fails, and none behind it is held up', () => {
    const kind = settings.memory === 'dynamic' ? 'oom' : 'overflow';
    expect(ends(settings, [at(0, 90_000, 5), at(0, 10, 5)])).toEqual([kind, 'finished']);
  });

  test('what is cancelled frees all it held, whether it decodes, prefills or waits', () => {
    const engine = createEngine(settings);
    const jobs = [20, 150, 30, 40, 50].map((promptTokens) => ({ promptTokens, outputTokens: 90 }));
    for (const [index, job] of jobs.entries()) {
      engine.advanceTo(index * 13, SILENT);
      engine.submit(job);
    }
    engine.advanceTo(61, SILENT);
    expect(engine.gauges().usedUnits).toBeGreaterThan(0);
    for (const job of jobs) engine.cancel(job);
    for (const job of jobs) engine.cancel(job);
    expect(engine.gauges()).toMatchObject({ usedUnits: 0, running: 0, waiting: 0 });
    expect(jobs.map((job) => engine.generatedTokens(job))).toEqual([0, 0, 0, 0, 0]);
    const refuse = () => {
      throw new Error('told of a job that was cancelled');
    };
    engine.advanceTo(10_000, { firstToken: refuse, finished: refuse, failed: refuse });
    expect(engine.nextEventAtMs()).toBe(Number.POSITIVE_INFINITY);
  });

  const request = fc.record({
    atMs: fc.integer({ min: 0, max: 2_000 }),
    promptTokens: fc.integer({ min: 1, max: 700 }),
    outputTokens: fc.integer({ min: 1, max: 200 }),
  });
  const work = fc
    .array(request, { maxLength: 25 })
    .map((requests) => requests.sort((one, other) => one.atMs - other.atMs));

  test('never more than there is, and all of it comes back', () => {
    fc.assert(
      fc.property(work, fc.nat(5), (arrivals, cancelled) => {
        const engine = createEngine(settings);
        const { outcomes } = runModel(engine, arrivals, (atMs) => {
          const { usedUnits, capacityUnits } = engine.gauges();
          expect(usedUnits).toBeLessThanOrEqual(capacityUnits);
          expect(usedUnits).toBeGreaterThanOrEqual(0);
          const leaving = arrivals[cancelled];
          if (leaving !== undefined && atMs > leaving.atMs + 100) engine.cancel(leaving);
        });
        expect(engine.gauges()).toMatchObject({ usedUnits: 0, running: 0, waiting: 0 });
        const open = outcomes.filter(({ end }) => end === null).length;
        expect(open).toBeLessThanOrEqual(arrivals[cancelled] === undefined ? 0 : 1);
      }),
      { numRuns: 60 },
    );
  });

  test('many steps run as one come to the same as each alone', () => {
    fc.assert(
      fc.property(work, (arrivals) => {
        const whole = runModel(createEngine(settings), arrivals);
        const cut = runModel(interrupted(createEngine(settings)), arrivals);
        expect(whole.preemptions).toBe(cut.preemptions);
        for (const [index, outcome] of whole.outcomes.entries()) {
          expect(cut.outcomes[index]?.end).toBe(outcome.end);
          expect(cut.outcomes[index]?.endMs).toBeCloseTo(outcome.endMs ?? 0, 3);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('the same work gives the same run', () => {
    const load = {
      seed: 5,
      requests: 200,
      meanGapMs: 60,
      maxPromptTokens: 300,
      maxOutputTokens: 90,
    };
    const runs = [1, 2].map(() => runModel(createEngine(settings), workload(load)));
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]?.outcomes.some(({ end }) => end === 'finished')).toBe(true);
  });
});

test('CPU time of a request, as a figure', () => {
  const stepTime = { baseMs: 8, perSequenceMs: 0.2, perPrefillTokenMs: 0.05, perKvTokenMs: 5e-5 };
  const requests = 5_000;
  const load = { seed: 3, requests, meanGapMs: 110, maxPromptTokens: 2_000, maxOutputTokens: 400 };
  const arrivals = workload(load);
  for (const [name, settings] of [
    ['dynamic', dynamic(4_096)],
    ['paged', paged(4_018, 256)],
    ['unified slots', slots(57_088, 64, true)],
    ['split slots', slots(57_344, 16, false)],
  ] as const) {
    const before = process.cpuUsage();
    runModel(createEngine({ ...settings, stepTime, maxBatchedTokens: 2_048 }), arrivals);
    const { user, system } = process.cpuUsage(before);
    const each = (user + system) / requests;
    console.info(`${name}: ${each.toFixed(1)} us of CPU a request`);
    expect(each).toBeLessThan(2_000);
  }
});

const SILENT = { firstToken: () => {}, finished: () => {}, failed: () => {} };

/** Breaks every run off after the step in flight, by a job that comes and goes. */
function interrupted(engine: EngineModel): EngineModel {
  return {
    submit: (job) => engine.submit(job),
    cancel: (job) => engine.cancel(job),
    generatedTokens: (job) => engine.generatedTokens(job),
    gauges: () => engine.gauges(),
    nextEventAtMs: () => engine.nextEventAtMs(),
    advanceTo: (atMs, events) => {
      for (let ms = Math.min(atMs, engine.nextEventAtMs()); ; ) {
        engine.advanceTo(ms, events);
        const passing: Job = { promptTokens: 1, outputTokens: 1 };
        engine.submit(passing);
        engine.cancel(passing);
        if (ms >= atMs) return;
        ms = Math.min(atMs, ms + 5, engine.nextEventAtMs());
      }
    },
  };
}
