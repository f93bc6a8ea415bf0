/** What kvgate is compared with: no guard, a fixed concurrency, and the plain formula. */
import { naiveKvBytes } from '../memory/kv-layout.ts';
import type { ModelSpec } from '../memory/models/model-spec.ts';
import { degrade } from '../policy/degrade.ts';
import type { LevelThresholds } from '../policy/pressure.ts';
import type { Level, PolicyConfig } from '../policy/types.ts';
import { Levels } from '../state/levels.ts';
import type { Gate } from './fixed-front.ts';
import { shapeOf } from './requests.ts';
import type { SimulatedRequest } from './workload.ts';

/** Everything goes straight to the engine. */
export class OpenGate implements Gate {
  readonly level: Level = 'low';

  enter({ askedTokens }: SimulatedRequest): number {
    return askedTokens;
  }
  leave(): void {}
  refusesForEver(): boolean {
    return false;
  }
}

/** At most so many in flight, as `max_conns` of a reverse proxy. */
export class CountingGate implements Gate {
  readonly level: Level = 'low';
  readonly #most: number;
  #inFlight = 0;

  constructor(most: number) {
    this.#most = most;
  }

  enter({ askedTokens }: SimulatedRequest): number | null {
    if (this.#inFlight >= this.#most) return null;
    this.#inFlight += 1;
    return askedTokens;
  }

  leave(): void {
    this.#inFlight -= 1;
  }

  refusesForEver(): boolean {
    return false;
  }
}

export interface NaiveRules {
  readonly spec: ModelSpec;
  readonly kvBytesPerElement: number;
  readonly budgetBytes: number;
  readonly thresholds: LevelThresholds;
  readonly policy: PolicyConfig;
}

const INSTANCE = 'naive';

/**
 * The plain formula over prompt and max tokens, reserved at admission and
 * released at the end. Pressure is what is reserved over the budget; its level
 * cuts outputs and concurrency by the same table as kvgate's, at once and
 * without hysteresis.
 */
export class NaiveGate implements Gate {
  readonly #rules: NaiveRules;
  readonly #levels: Levels;
  readonly #reserved = new Map<number, number>();
  #reservedBytes = 0;

  constructor(rules: NaiveRules) {
    this.#rules = rules;
    this.#levels = new Levels({
      pressure: rules.thresholds,
      poolPressure: rules.thresholds,
      hysteresis: 0,
      minDwellMs: 0,
      maxConcurrency: null,
      degrade: rules.policy.degrade,
    });
  }

  get level(): Level {
    return this.#levels.level(INSTANCE);
  }

  enter(request: SimulatedRequest, nowMs: number): number | null {
    this.#refresh(nowMs);
    const { policy, budgetBytes } = this.#rules;
    const cap = this.#levels.concurrencyCap(INSTANCE);
    if (cap !== null && this.#reserved.size >= Math.max(1, cap)) return null;
    const shape = shapeOf(request, request.askedTokens);
    const outputTokens = degrade(shape, this.level, policy, false).outputTokens;
    const granted = outputTokens ?? request.askedTokens;
    const bytes = this.#bytes(request.promptTokens + granted);
    if (this.#reservedBytes + bytes > budgetBytes) return null;
    this.#reserved.set(request.index, bytes);
    this.#reservedBytes += bytes;
    return granted;
  }

  leave({ index }: SimulatedRequest, nowMs: number): void {
    this.#reservedBytes -= this.#reserved.get(index) ?? 0;
    this.#reserved.delete(index);
    this.#refresh(nowMs);
  }

  refusesForEver({ promptTokens, askedTokens }: SimulatedRequest): boolean {
    return this.#bytes(promptTokens + askedTokens) > this.#rules.budgetBytes;
  }

  #bytes(tokens: number): number {
    return naiveKvBytes(this.#rules.spec, tokens, this.#rules.kvBytesPerElement);
  }

  #refresh(nowMs: number): void {
    const signal = {
      memoryModel: 'dynamic',
      pressure: this.#reservedBytes / this.#rules.budgetBytes,
      preemptions: null,
      sequences: this.#reserved.size,
    } as const;
    this.#levels.observe(INSTANCE, signal, nowMs);
  }
}
