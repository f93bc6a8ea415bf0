/** The requests of one server in its engine, and the clock that moves both. */
import type { ServerResponse } from 'node:http';
import type { GenerationRequest } from './dialect.ts';
import { Generation } from './generation.ts';
import { Ticker } from './pace.ts';
import type { Personality } from './personality.ts';

/** Requests since the start; `running`, `waiting`, `oom`, `overflow` count sequences. */
export interface SimulatedState {
  readonly received: number;
  readonly completed: number;
  /** Answered with an error, whoever was to blame. */
  readonly failed: number;
  readonly oom: number;
  readonly overflow: number;
  readonly preemptions: number;
  /** The client left and the engine let go. */
  readonly cancelled: number;
  readonly running: number;
  readonly waiting: number;
  readonly maxRunning: number;
  readonly peakUsedBytes: number;
}

export class Simulation {
  readonly #personality: Personality;
  readonly #ticker: Ticker;
  readonly #generations = new Set<Generation>();
  readonly #totals = { received: 0, completed: 0, failed: 0, cancelled: 0 };

  constructor(personality: Personality) {
    this.#personality = personality;
    this.#ticker = new Ticker(
      {
        advance: (seconds) => personality.engine.advance(seconds),
        ticked: () => this.#flush(),
        busy: () => this.isBusy,
      },
      personality.settings.speed,
    );
  }

  get isBusy(): boolean {
    return this.#generations.size > 0;
  }

  state(): SimulatedState {
    const { running, waiting, maxRunning, oom, overflow, preemptions } =
      this.#personality.engine.counters();
    const counters = { running, waiting, maxRunning, oom, overflow, preemptions };
    return { ...this.#totals, ...counters, peakUsedBytes: this.#personality.gpu.peakUsedBytes };
  }

  /** A generation request arrived as a whole, of any quality. */
  received(): void {
    this.#totals.received += 1;
  }

  /** It was answered with an error before it reached the engine. */
  refused(): void {
    this.#totals.failed += 1;
  }

  /** Answers on `response` as tokens come; a client that leaves makes the engine let go. */
  generate(request: GenerationRequest, requestId: string | null, response: ServerResponse): void {
    if (response.destroyed) {
      this.#totals.cancelled += 1;
      return;
    }
    const { settings, dialect, engine } = this.#personality;
    const identity = { ...settings, modelId: settings.model };
    const generation = new Generation(request, identity, dialect, engine, response, requestId);
    response.once('close', () => this.#left(generation));
    this.#generations.add(generation);
    generation.submit();
    this.#ticker.wake();
  }

  stop(): void {
    this.#ticker.stop();
  }

  /** The connection is gone; of an answer that was complete nothing is left to cancel. */
  #left(generation: Generation): void {
    if (!generation.stream && !this.#personality.cancelsNonStream) return;
    if (!this.#generations.delete(generation)) return;
    generation.cancel();
    this.#totals.cancelled += 1;
  }

  #flush(): void {
    for (const generation of this.#generations) {
      const outcome = generation.flush();
      if (outcome === null) continue;
      this.#totals[outcome] += 1;
      this.#generations.delete(generation);
    }
  }
}
