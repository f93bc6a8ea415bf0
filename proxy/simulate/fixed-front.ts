/**
 * Fronts that do not look into the engine: first come, first served, bounded
 * in length and time as kvgate's own queue is. They differ in who is let in.
 */
import type { Clock } from '../state/clock.ts';
import type { Ended, Front, Stage } from './front.ts';
import { INSTANCE } from './instance.ts';
import type { SimulatedRequest } from './workload.ts';

/** Who is let in, and what is held against them until they end. */
export interface Gate {
  /** @returns the output tokens that the request may have now; null: it has to wait */
  enter(request: SimulatedRequest, nowMs: number): number | null;
  leave(request: SimulatedRequest, nowMs: number): void;
  /** Whether it could never be let in. */
  refusesForEver(request: SimulatedRequest): boolean;
  readonly level: Front['level'];
}

export interface QueueBounds {
  /** Prompt and one token beyond this are refused, as an engine answers 400. */
  readonly contextTokens: number;
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
}

interface Waiting {
  readonly request: SimulatedRequest;
  readonly cancelDeadline: () => void;
}

export class FixedFront implements Front {
  readonly #gate: Gate;
  readonly #bounds: QueueBounds;
  readonly #clock: Clock;
  readonly #stage: Stage;
  /** In order of arrival. */
  readonly #queue = new Map<number, Waiting>();

  constructor(gate: Gate, bounds: QueueBounds, clock: Clock, stage: Stage) {
    this.#gate = gate;
    this.#bounds = bounds;
    this.#clock = clock;
    this.#stage = stage;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get level(): Front['level'] {
    return this.#gate.level;
  }

  arrived(request: SimulatedRequest): void {
    const isTooLong = request.promptTokens >= this.#bounds.contextTokens;
    if (isTooLong || this.#gate.refusesForEver(request)) {
      this.#stage.refused(request, 'never_fits', null);
      return;
    }
    if (this.#queue.size === 0 && this.#tryToStart(request)) return;
    if (this.#queue.size >= this.#bounds.queueMax) {
      this.#stage.refused(request, 'queue_full', null);
      return;
    }
    const cancelDeadline = this.#clock.after(this.#bounds.queueTimeoutMs, () => {
      this.#queue.delete(request.index);
      this.#stage.refused(request, 'queue_deadline', null);
      this.#pump();
    });
    this.#queue.set(request.index, { request, cancelDeadline });
    this.#stage.queued(request, null);
  }

  generated(): void {}

  ended(request: SimulatedRequest, _ended: Ended): void {
    this.#gate.leave(request, this.#clock.nowMs());
    this.#pump();
  }

  poll(): void {
    this.#pump();
  }

  settle(): null {
    return null;
  }

  #pump(): void {
    for (const [index, { request, cancelDeadline }] of this.#queue) {
      if (!this.#tryToStart(request)) return;
      cancelDeadline();
      this.#queue.delete(index);
    }
  }

  #tryToStart(request: SimulatedRequest): boolean {
    const outputTokens = this.#gate.enter(request, this.#clock.nowMs());
    if (outputTokens === null) return false;
    this.#stage.start(request, outputTokens, INSTANCE);
    return true;
  }
}
