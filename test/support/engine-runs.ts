/** The same work through the simulator's engine models and through the simulated server's engines. */
import type { Engine } from '../../backend-adapters/simulated-server/engine.ts';
import type { EngineModel, Job } from '../../proxy/simulate/engine-model.ts';
import { sequence } from './simulated-sequence.ts';

export interface Arrival extends Job {
  readonly atMs: number;
}

export interface JobOutcome {
  firstMs: number | null;
  endMs: number | null;
  end: 'finished' | 'oom' | 'overflow' | null;
  firstTokens: number;
}

export interface EngineRun {
  readonly outcomes: readonly JobOutcome[];
  readonly peakUnits: number;
  readonly maxRunning: number;
  readonly preemptions: number;
}

/** A seeded generator of numbers in [0, 1): a linear congruence, good enough to spread sizes. */
function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export interface WorkloadShape {
  readonly seed: number;
  readonly requests: number;
  readonly meanGapMs: number;
  readonly maxPromptTokens: number;
  readonly maxOutputTokens: number;
}

export function workload(shape: WorkloadShape): readonly Arrival[] {
  const random = seededNumbers(shape.seed);
  let atMs = 0;
  return Array.from({ length: shape.requests }, () => {
    atMs += -Math.log(1 - random()) * shape.meanGapMs;
    const promptTokens = 1 + Math.floor(random() * shape.maxPromptTokens);
    return { atMs, promptTokens, outputTokens: 1 + Math.floor(random() * shape.maxOutputTokens) };
  });
}

/** Runs the model until all arrivals have ended; `afterEach` sees it after every advance. */
export function runModel(
  engine: EngineModel,
  arrivals: readonly Arrival[],
  afterEach: (atMs: number) => void = () => {},
): EngineRun {
  const outcomes = new Map<Job, JobOutcome>(arrivals.map((job) => [job, noOutcome()]));
  const of = (job: Job) => outcomes.get(job) ?? noOutcome();
  const events = {
    firstToken: (job: Job, atMs: number) => {
      of(job).firstMs = atMs;
      of(job).firstTokens += 1;
    },
    finished: (job: Job, atMs: number) => Object.assign(of(job), { endMs: atMs, end: 'finished' }),
    failed: (job: Job, kind: 'oom' | 'overflow', atMs: number) =>
      Object.assign(of(job), { endMs: atMs, end: kind }),
  };
  const seen = { peakUnits: 0, maxRunning: 0 };
  for (let next = 0; ; ) {
    const arrivesMs = arrivals[next]?.atMs ?? Number.POSITIVE_INFINITY;
    const atMs = Math.min(arrivesMs, engine.nextEventAtMs());
    const { usedUnits, running } = engine.gauges();
    seen.peakUnits = Math.max(seen.peakUnits, usedUnits);
    seen.maxRunning = Math.max(seen.maxRunning, running);
    if (atMs === Number.POSITIVE_INFINITY) break;
    engine.advanceTo(atMs, events);
    for (let job = arrivals[next]; job !== undefined && job.atMs <= atMs; job = arrivals[next]) {
      engine.submit(job);
      next += 1;
    }
    afterEach(atMs);
  }
  return { outcomes: [...outcomes.values()], ...seen, preemptions: engine.gauges().preemptions };
}

/** The same through an engine of the simulated server, in slices of `sliceMs`. */
export function runSimulated(
  engine: Engine,
  arrivals: readonly Arrival[],
  usedUnits: () => number,
  sliceMs: number,
): EngineRun {
  const outcomes = arrivals.map(noOutcome);
  const sequences = arrivals.map(({ promptTokens, outputTokens }, index) =>
    sequence(promptTokens, outputTokens, { id: index + 1 }),
  );
  let peakUnits = 0;
  const open = new Set<number>();
  for (let next = 0, slice = 0; next < arrivals.length || open.size > 0; slice++) {
    for (; (arrivals[next]?.atMs ?? Number.POSITIVE_INFINITY) <= slice * sliceMs; next++) {
      const arrived = sequences[next];
      if (arrived === undefined) break;
      engine.submit(arrived);
      open.add(next);
    }
    engine.advance(sliceMs / 1000);
    const atMs = (slice + 1) * sliceMs;
    peakUnits = Math.max(peakUnits, usedUnits());
    for (const index of open) {
      const outcome = outcomes[index];
      const state = sequences[index];
      if (outcome === undefined || state === undefined) continue;
      if (state.produced > 0) outcome.firstMs ??= atMs;
      if (state.fault === null && state.cachedTokens === null) continue;
      outcome.endMs = atMs;
      outcome.end = state.fault?.kind ?? 'finished';
      open.delete(index);
    }
  }
  const { maxRunning, preemptions } = engine.counters();
  return { outcomes, peakUnits, maxRunning, preemptions };
}

function noOutcome(): JobOutcome {
  return { firstMs: null, endMs: null, end: null, firstTokens: 0 };
}
