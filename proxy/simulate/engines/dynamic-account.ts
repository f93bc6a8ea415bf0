/**
 * Bytes of generations that each allocate for themselves, as in
 * `simulated-server/dynamic-engine.ts`: prefill holds its peak from its start
 * to its first token, an allocation that does not fit ends who made it.
 */
import type { Attention } from '../../../backend-adapters/simulated-server/dynamic-memory.ts';
import {
  decodeStepBytes,
  prefillKvBytes,
  prefillTransientBytes,
} from '../../../backend-adapters/simulated-server/dynamic-memory.ts';
import type { ModelGeometry } from '../../../backend-adapters/simulated-server/geometry.ts';
import type { Entry } from './entry.ts';
import type { KvAccount } from './kv-account.ts';
import { WindowCrossings } from './window-crossings.ts';

export interface DynamicShape {
  readonly model: ModelGeometry;
  /** What KV and transients may come to: the GPU less weights and all that is foreign. */
  readonly budgetBytes: number;
  readonly attention: Attention;
  /** Generations at a time; null: all that come. */
  readonly maxGenerations: number | null;
}

export class DynamicAccount implements KvAccount {
  readonly onShortage = 'end-one';
  readonly failure = 'oom';
  /** Each generation is a thread of its own: the GPU works on all prompts in turns. */
  readonly prefillsTogether = true;
  readonly capacityUnits: number;
  readonly maxRunning: number;
  usedUnits = 0;
  readonly #shape: DynamicShape;
  readonly #shortStepBytes: number;
  readonly #longStepBytes: number;
  readonly #crossings: WindowCrossings;
  #step = 0;
  #decoding = 0;

  constructor(shape: DynamicShape) {
    this.#shape = shape;
    this.capacityUnits = shape.budgetBytes;
    this.maxRunning = shape.maxGenerations ?? Number.POSITIVE_INFINITY;
    const { windowTokens } = shape.model;
    this.#crossings = new WindowCrossings(windowTokens);
    this.#shortStepBytes = decodeStepBytes(shape.model, 1) - decodeStepBytes(shape.model, 0);
    this.#longStepBytes =
      decodeStepBytes(shape.model, windowTokens + 1) - decodeStepBytes(shape.model, windowTokens);
  }

  start(entry: Entry): 'starts' | 'fails' {
    const bytes = this.prefillUnits(entry);
    if (bytes > this.capacityUnits - this.usedUnits) return 'fails';
    entry.heldUnits = bytes;
    this.usedUnits += bytes;
    return 'starts';
  }

  gateUnits(): number {
    return Number.POSITIVE_INFINITY;
  }

  prefillUnits({ promptTokens }: Entry): number {
    const { model, attention } = this.#shape;
    return (
      prefillKvBytes(model, promptTokens) + prefillTransientBytes(model, attention, promptTokens)
    );
  }

  prefilledUnits({ promptTokens }: Entry): number {
    return prefillKvBytes(this.#shape.model, promptTokens);
  }

  decodeUnits(tokens: number): number {
    return decodeStepBytes(this.#shape.model, tokens);
  }

  outputLimitTokens(): number {
    return Number.POSITIVE_INFINITY;
  }

  join(tokens: number): void {
    this.#decoding += 1;
    this.#crossings.count(tokens, this.#step, 1);
  }

  leave(tokens: number): void {
    this.#decoding -= 1;
    this.#crossings.count(tokens, this.#step, -1);
  }

  stepUnits(): number {
    const { shorter } = this.#crossings;
    return shorter * this.#shortStepBytes + (this.#decoding - shorter) * this.#longStepBytes;
  }

  quietSteps(limit: number): number {
    const stepBytes = this.stepUnits();
    if (stepBytes === 0) return limit;
    return Math.min(limit, Math.floor((this.capacityUnits - this.usedUnits) / stepBytes));
  }

  grow(steps: number): void {
    let left = steps;
    for (; left > 0 && this.#crossings.shorter > 0; left--) {
      this.usedUnits += this.stepUnits();
      this.#step += 1;
      this.#crossings.reached(this.#step);
    }
    this.usedUnits += left * this.stepUnits();
    this.#step += left;
  }
}
