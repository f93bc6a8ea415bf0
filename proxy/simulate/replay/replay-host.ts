/** One instance of a log: the memory it had at each moment, and what would run on it in a replay. */
import { type Charge, chargeOf, heldUnits } from '../../memory/charge.ts';
import { type GpuMargins, reservedBytes } from '../../policy/budget.ts';
import { configOf, type Member, type WorldMachine } from '../instance.ts';
import type { LoggedInstance } from './logged-line.ts';
import type { ReplayRequest } from './replay-request.ts';

export interface Running {
  readonly request: ReplayRequest;
  readonly startedAtMs: number;
  /** As far as its limit lets it come. */
  readonly outputTokens: number;
  readonly ttftMs: number;
  readonly totalMs: number;
  readonly charge: Charge;
}

export class ReplayHost {
  readonly name: string;
  readonly running = new Map<number, Running>();
  readonly #told: readonly LoggedInstance[];
  readonly #latest: LoggedInstance;
  readonly #startMs: number;
  readonly #margins: GpuMargins;
  #at = 0;

  /**
   * @param told its lines in order of time, at least one
   * @param startMs of the log's time, where the replay's begins
   * @param margins in force when the log was written: what its capacity was found with
   */
  constructor(told: readonly LoggedInstance[], startMs: number, margins: GpuMargins) {
    const latest = told.at(-1);
    if (latest === undefined) throw new RangeError('an instance without a line');
    this.#told = told;
    this.#latest = latest;
    this.#startMs = startMs;
    this.#margins = margins;
    this.name = latest.instance;
  }

  member(paths: readonly string[], nowMs: () => number): Member {
    const { pool, large } = this.#latest;
    return {
      config: configOf(this.name, pool, large),
      paths,
      machine: () => this.#machineAt(nowMs()),
      gauges: () => ({
        usedUnits: this.heldUnits(nowMs()),
        running: [...this.running.values()].reduce((sum, { charge }) => sum + charge.sequences, 0),
        waiting: 0,
        preemptions: 0,
      }),
    };
  }

  /** null where the log does not tell. Time goes on from call to call. */
  capacityUnits(nowMs: number): number | null {
    return this.#lineAt(nowMs).capacityUnits;
  }

  start(request: ReplayRequest, limitTokens: number, nowMs: number): Running {
    const { shape } = request.asked;
    const outputTokens = Math.min(request.outputTokens, limitTokens);
    const share = request.outputTokens === 0 ? 1 : outputTokens / request.outputTokens;
    const { ttftMs } = request;
    const running: Running = {
      request,
      startedAtMs: nowMs,
      outputTokens,
      ttftMs,
      totalMs: ttftMs + (request.totalMs - ttftMs) * share,
      charge: chargeOf(
        this.#latest.layout,
        request.promptTokens,
        outputTokens,
        shape.prompts,
        shape.samplesPerPrompt,
      ),
    };
    this.running.set(request.index, running);
    return running;
  }

  heldUnits(nowMs: number): number {
    let units = 0;
    for (const running of this.running.values()) units += this.heldBy(running, nowMs);
    return units;
  }

  heldBy(running: Running, nowMs: number): number {
    const tokens = generatedTokens(running, nowMs);
    const phase = tokens > 0 ? 'decode' : 'prefill';
    return heldUnits(this.#latest.layout, running.charge, phase, tokens);
  }

  #machineAt(nowMs: number): WorldMachine {
    const { capacityUnits, maxSequences, gpuTotalBytes } = this.#lineAt(nowMs);
    // Without a GPU's reading there is no capacity in bytes either.
    const isKnown = this.#latest.layout.model !== 'dynamic' || gpuTotalBytes !== null;
    const gpuBytes = gpuTotalBytes ?? 0;
    const keptBytes = reservedBytes(gpuBytes, this.#margins) + (capacityUnits ?? 0);
    return {
      engine: 'transformers',
      model: this.name,
      layout: this.#latest.layout,
      capacityUnits: isKnown ? capacityUnits : null,
      maxSequences,
      gpuBytes,
      gpuFloorBytes: Math.max(0, gpuBytes - keptBytes),
    };
  }

  /** The latest line by then; before all of them the first. */
  #lineAt(nowMs: number): LoggedInstance {
    const isPast = (line: LoggedInstance | undefined) =>
      line !== undefined && line.timeMs - this.#startMs <= nowMs;
    while (isPast(this.#told[this.#at + 1])) this.#at += 1;
    return this.#told[this.#at] ?? this.#latest;
  }
}

/** Output tokens of one sequence by then; 0 while its prompt is read. */
export function generatedTokens(
  { startedAtMs, outputTokens, ttftMs, totalMs }: Running,
  nowMs: number,
): number {
  const decodingMs = nowMs - startedAtMs - ttftMs;
  if (decodingMs < 0 || outputTokens < 1) return 0;
  const share = totalMs > ttftMs ? decodingMs / (totalMs - ttftMs) : 1;
  return Math.min(outputTokens, 1 + Math.floor(share * (outputTokens - 1)));
}
