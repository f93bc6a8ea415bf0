/**
 * An engine that allocates for each request from free GPU memory, like a
 * transformers server that runs several generations at a time. An allocation
 * that does not fit ends the request that made it, and no other.
 */
import type { Attention } from './dynamic-memory.ts';
import { decodeStepBytes, prefillKvBytes, prefillTransientBytes } from './dynamic-memory.ts';
import type { Engine, EngineCounters, Sequence } from './engine.ts';
import { noTotals } from './engine.ts';
import type { ModelGeometry } from './geometry.ts';
import type { Rates } from './pace.ts';
import { decodeRate, TokenMeter } from './pace.ts';
import type { SimulatedGpu } from './simulated-gpu.ts';

interface Generation {
  readonly sequence: Sequence;
  readonly meter: TokenMeter;
  heldBytes: number;
  /** Tokens of the prompt computed so far; fractions while prefill is shared. */
  prefilledTokens: number;
  generatedTokens: number;
}

export interface DynamicSettings extends Rates {
  readonly attention: Attention;
  readonly maxGenerations: number | null;
}

export class DynamicEngine implements Engine {
  readonly #model: ModelGeometry;
  readonly #gpu: SimulatedGpu;
  readonly #settings: DynamicSettings;
  readonly #waiting = new Set<Sequence>();
  readonly #running = new Map<Sequence, Generation>();
  readonly #totals = noTotals();

  constructor(model: ModelGeometry, gpu: SimulatedGpu, settings: DynamicSettings) {
    this.#model = model;
    this.#gpu = gpu;
    this.#settings = settings;
  }

  submit(sequence: Sequence): void {
    this.#waiting.add(sequence);
  }

  cancel(sequence: Sequence): void {
    this.#waiting.delete(sequence);
    const generation = this.#running.get(sequence);
    if (generation !== undefined) this.#release(generation);
  }

  advance(seconds: number): void {
    this.#startWaiting();
    const generations = [...this.#running.values()];
    const prefilling = generations.filter((generation) => generation.generatedTokens === 0);
    const decoding = generations.filter((generation) => generation.generatedTokens > 0);
    const prefillTokens = (this.#settings.prefillTokensPerSecond * seconds) / prefilling.length;
    for (const generation of prefilling) this.#prefill(generation, prefillTokens);
    const rate = decodeRate(this.#settings, decoding.length);
    for (const generation of decoding) {
      this.#decode(generation, generation.meter.due(rate, seconds));
    }
  }

  counters(): EngineCounters {
    return { ...this.#totals, running: this.#running.size, waiting: this.#waiting.size };
  }

  #startWaiting(): void {
    const limit = this.#settings.maxGenerations ?? Number.POSITIVE_INFINITY;
    for (const sequence of this.#waiting) {
      if (this.#running.size >= limit) return;
      this.#waiting.delete(sequence);
      this.#start(sequence);
    }
  }

  /** Prefill holds its peak from its first moment: the KV of all layers and the transient. */
  #start(sequence: Sequence): void {
    const generation: Generation = {
      sequence,
      meter: new TokenMeter(),
      heldBytes: 0,
      prefilledTokens: 0,
      generatedTokens: 0,
    };
    const promptTokens = sequence.prompt.length;
    const transient = prefillTransientBytes(this.#model, this.#settings.attention, promptTokens);
    this.#running.set(sequence, generation);
    if (!this.#hold(generation, prefillKvBytes(this.#model, promptTokens) + transient)) return;
    this.#totals.promptTokens += promptTokens;
    this.#totals.maxRunning = Math.max(this.#totals.maxRunning, this.#running.size);
  }

  #prefill(generation: Generation, tokens: number): void {
    if (!this.#running.has(generation.sequence)) return;
    const promptTokens = generation.sequence.prompt.length;
    generation.prefilledTokens += tokens;
    if (generation.prefilledTokens < promptTokens) return;
    // The transient goes with the first token; the window cuts the KV only in the step after it.
    if (!this.#hold(generation, prefillKvBytes(this.#model, promptTokens))) return;
    this.#produce(generation, 1);
  }

  #decode(generation: Generation, dueTokens: number): void {
    const { sequence, generatedTokens } = generation;
    if (!this.#running.has(sequence)) return;
    const tokens = Math.min(dueTokens, sequence.outputTokens - generatedTokens);
    if (tokens === 0) return;
    // The newest token has no KV yet: a step writes the one before it.
    const cachedTokens = sequence.prompt.length + generatedTokens + tokens - 1;
    if (!this.#hold(generation, decodeStepBytes(this.#model, cachedTokens))) return;
    this.#produce(generation, tokens);
  }

  #produce(generation: Generation, tokens: number): void {
    const { sequence } = generation;
    generation.generatedTokens += tokens;
    this.#totals.generatedTokens += tokens;
    sequence.listener.tokens(tokens);
    if (generation.generatedTokens < sequence.outputTokens) return;
    this.#release(generation);
    sequence.listener.finished(0);
  }

  /** Makes the generation hold `bytes`; where they do not fit it fails and false is returned. */
  #hold(generation: Generation, bytes: number): boolean {
    if (this.#gpu.resize(generation.heldBytes, bytes)) {
      generation.heldBytes = bytes;
      return true;
    }
    const message = this.#gpu.outOfMemoryMessage(bytes - generation.heldBytes);
    this.#release(generation);
    this.#totals.oom += 1;
    generation.sequence.listener.failed({ kind: 'oom', message });
    return false;
  }

  #release(generation: Generation): void {
    this.#gpu.resize(generation.heldBytes, 0);
    this.#running.delete(generation.sequence);
  }
}
