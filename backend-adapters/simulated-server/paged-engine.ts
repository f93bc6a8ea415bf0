/**
 * vLLM's scheduler over a fixed pool of blocks: first come, first served; a
 * prompt is admitted when its own blocks are free; when a step finds no block
 * the sequence admitted last is preempted and computed again later. Nothing
 * here fails a request, it only takes longer.
 */
import { BlockPool } from './block-pool.ts';
import type { Engine, EngineCounters, Sequence } from './engine.ts';
import { noTotals } from './engine.ts';
import type { Rates } from './pace.ts';
import { decodeRate, TokenMeter } from './pace.ts';
import type { Scheduled } from './scheduled.ts';
import { isPrefilling, knownTokens, scheduled } from './scheduled.ts';

export interface PagedSettings extends Rates {
  readonly numGpuBlocks: number;
  /** null: every layer keeps every token. */
  readonly windowTokens: number | null;
  readonly maxSequences: number;
  readonly maxBatchedTokens: number;
}

export class PagedEngine implements Engine {
  readonly #settings: PagedSettings;
  readonly #pool: BlockPool;
  readonly #prefillMeter = new TokenMeter();
  readonly #totals = noTotals();
  #waiting: Scheduled[] = [];
  #running: Scheduled[] = [];

  constructor(settings: PagedSettings) {
    this.#settings = settings;
    this.#pool = new BlockPool(settings.numGpuBlocks);
  }

  submit(sequence: Sequence): void {
    this.#waiting.push(scheduled(sequence, this.#pool, this.#settings.windowTokens));
  }

  cancel(sequence: Sequence): void {
    this.#waiting = this.#waiting.filter((entry) => entry.sequence !== sequence);
    const entry = this.#running.find((candidate) => candidate.sequence === sequence);
    if (entry !== undefined) this.#leave(entry);
  }

  advance(seconds: number): void {
    this.#admit();
    const decoding = this.#running.filter((entry) => !isPrefilling(entry));
    const rate = decodeRate(this.#settings, decoding.length);
    for (const entry of decoding) this.#decode(entry, entry.meter.due(rate, seconds));
    this.#prefill(seconds);
  }

  counters(): EngineCounters {
    return { ...this.#totals, running: this.#running.length, waiting: this.#waiting.length };
  }

  get usableBlocks(): number {
    return this.#pool.usableBlocks;
  }

  /** Blocks that running sequences reference; cached ones that nobody references are free. */
  get usedBlocks(): number {
    return this.#pool.usableBlocks - this.#pool.freeBlocks;
  }

  #admit(): void {
    for (;;) {
      const entry = this.#waiting[0];
      if (entry === undefined || this.#running.length >= this.#settings.maxSequences) return;
      const found = entry.table.admit(knownTokens(entry), this.#settings.maxBatchedTokens);
      if (found === null) return;
      this.#waiting.shift();
      this.#running.push(entry);
      entry.computedTokens = found;
      // The first chunk's blocks are taken at once, so that the next in line sees what is left.
      this.#reserve(entry, this.#chunkEnd(entry));
      this.#totals.maxRunning = Math.max(this.#totals.maxRunning, this.#running.length);
      if (entry.cachedTokens !== null) continue;
      entry.cachedTokens = found;
      this.#totals.promptTokens += entry.sequence.prompt.length;
      this.#totals.cachedTokens += found;
    }
  }

  /** Prompts are computed one after another, in chunks of `maxBatchedTokens`. */
  #prefill(seconds: number): void {
    const prefilling = this.#running.filter(isPrefilling);
    if (prefilling.length === 0) return;
    let budget = this.#prefillMeter.due(this.#settings.prefillTokensPerSecond, seconds);
    for (const entry of prefilling) {
      const target = knownTokens(entry);
      while (budget > 0 && this.#running.includes(entry) && entry.computedTokens < target) {
        const needsChunk = entry.computedTokens >= entry.grantedTokens;
        if (needsChunk && !this.#reserve(entry, this.#chunkEnd(entry))) break;
        const tokens = Math.min(budget, entry.grantedTokens - entry.computedTokens);
        entry.computedTokens += tokens;
        budget -= tokens;
        if (entry.computedTokens === target) this.#produce(entry, 1);
      }
    }
  }

  #decode(entry: Scheduled, dueTokens: number): void {
    const tokens = Math.min(dueTokens, entry.sequence.outputTokens - entry.generatedTokens);
    if (tokens === 0 || !this.#running.includes(entry)) return;
    // The newest token has no KV yet: a step writes the one before it.
    const target = entry.computedTokens + tokens;
    if (!this.#reserve(entry, target)) return;
    entry.computedTokens = target;
    this.#produce(entry, tokens);
  }

  #chunkEnd(entry: Scheduled): number {
    return Math.min(knownTokens(entry), entry.computedTokens + this.#settings.maxBatchedTokens);
  }

  /** Blocks up to `target`, preempting from the end of the line; false if that hit `entry` itself. */
  #reserve(entry: Scheduled, target: number): boolean {
    while (!entry.table.grow(entry.computedTokens, target)) {
      const victim = this.#running.at(-1) ?? entry;
      this.#preempt(victim);
      if (victim === entry) return false;
    }
    entry.grantedTokens = target;
    return true;
  }

  #preempt(entry: Scheduled): void {
    this.#leave(entry);
    this.#totals.preemptions += 1;
    this.#waiting.unshift(entry);
  }

  #produce(entry: Scheduled, tokens: number): void {
    const { sequence } = entry;
    const produced = Math.min(tokens, sequence.outputTokens - entry.generatedTokens);
    entry.generatedTokens += produced;
    this.#totals.generatedTokens += produced;
    if (produced > 0) sequence.listener.tokens(produced);
    if (entry.generatedTokens < sequence.outputTokens) return;
    this.#leave(entry);
    sequence.listener.finished(entry.cachedTokens ?? 0);
  }

  #leave(entry: Scheduled): void {
    entry.table.release();
    this.#running = this.#running.filter((candidate) => candidate !== entry);
  }
}
