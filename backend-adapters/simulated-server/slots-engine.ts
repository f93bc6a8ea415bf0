/**
 * llama-server's slots over a fixed number of KV cells (server-context.cpp).
 * A task waits for a free slot, without bound and without a sign to the client.
 * Split: each slot has cells of its own. Unified: all share one pool, and when
 * a batch finds no cell the caches of idle slots are cleared one by one; if
 * that is not enough, every task in flight ends with an error.
 *
 * Left out: the prompt cache in host memory, and the sharing of prompt cells
 * between the choices of one request.
 */
import type { Engine, EngineCounters, Sequence } from './engine.ts';
import { noTotals } from './engine.ts';
import type { Rates } from './pace.ts';
import { decodeRate, TokenMeter } from './pace.ts';
import type { SlotTask } from './slot.ts';
import { Slot } from './slot.ts';
import { chooseSlot } from './slot-choice.ts';
import type { SlotsShape } from './slots-memory.ts';
import { slotContextTokens } from './slots-memory.ts';

const OVERFLOW_MESSAGE = 'Context size has been exceeded.';

export type SlotsSettings = SlotsShape & Rates;

export class SlotsEngine implements Engine {
  readonly slots: readonly Slot[];
  readonly #settings: SlotsSettings;
  readonly #contextTokens: number;
  readonly #prefillMeter = new TokenMeter();
  readonly #totals = noTotals();
  #waiting: Sequence[] = [];
  #nextTaskId = 0;
  #uses = 0;

  constructor(settings: SlotsSettings) {
    this.#settings = settings;
    this.#contextTokens = slotContextTokens(settings);
    this.slots = Array.from({ length: settings.slots }, (_, id) => new Slot(id));
  }

  submit(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  cancel(sequence: Sequence): void {
    this.#waiting = this.#waiting.filter((candidate) => candidate !== sequence);
    const slot = this.slots.find((candidate) => runs(candidate, sequence));
    if (slot !== undefined) this.#release(slot);
  }

  advance(seconds: number): void {
    this.#assign();
    const processing = this.slots.filter((slot) => slot.isProcessing);
    const decoding = processing.filter((slot) => (slot.task?.generatedTokens ?? 0) > 0);
    const rate = decodeRate(this.#settings, decoding.length);
    for (const slot of decoding) {
      if (slot.task !== null) this.#decode(slot, slot.task, slot.task.meter.due(rate, seconds));
    }
    this.#prefill(seconds);
  }

  counters(): EngineCounters {
    const running = this.slots.filter((slot) => slot.isProcessing).length;
    return { ...this.#totals, running, waiting: this.#waiting.length };
  }

  /** Empties a slot once it is idle, and calls back with the number of tokens that were there. */
  erase(slot: Slot, done: (erasedTokens: number) => void): void {
    if (slot.isProcessing) slot.onIdle.push(() => done(slot.clear()));
    else done(slot.clear());
  }

  #assign(): void {
    this.#waiting = this.#waiting.filter((sequence) => {
      const slot = chooseSlot(this.slots, sequence);
      if (slot === null) return true;
      slot.start(this.#nextTaskId++, sequence);
      this.#totals.promptTokens += sequence.prompt.length;
      this.#totals.cachedTokens += slot.task?.cachedTokens ?? 0;
      this.#totals.maxRunning = Math.max(this.#totals.maxRunning, this.counters().running);
      return false;
    });
  }

  #prefill(seconds: number): void {
    const prefilling = this.slots.filter(isPrefilling);
    if (prefilling.length === 0) return;
    let budget = this.#prefillMeter.due(this.#settings.prefillTokensPerSecond, seconds);
    for (const slot of prefilling) {
      const { task } = slot;
      if (task === null || !slot.isProcessing) continue;
      const { prompt } = task.sequence;
      const tokens = Math.min(budget, prompt.length - slot.cells.length);
      if (!this.#occupy(slot, tokens, (index) => prompt[index] ?? 0)) return;
      budget -= tokens;
      task.processedTokens += tokens;
      if (slot.cells.length === prompt.length) this.#produce(slot, task, 1);
    }
  }

  #decode(slot: Slot, task: SlotTask, dueTokens: number): void {
    const { prompt, text, outputTokens } = task.sequence;
    const tokens = Math.min(dueTokens, outputTokens - task.generatedTokens);
    if (tokens === 0 || !slot.isProcessing) return;
    // A step writes the cell of the token before the one it produces.
    if (!this.#occupy(slot, tokens, (index) => text.token(index - prompt.length))) return;
    this.#produce(slot, task, tokens);
  }

  /** Fills the slot's next cells; false where the pool overflowed, which ends every task. */
  #occupy(slot: Slot, tokens: number, tokenAt: (index: number) => number): boolean {
    if (this.#settings.unified && !this.#makeRoom(tokens)) {
      this.#overflow();
      return false;
    }
    const end = slot.cells.length + tokens;
    for (let index = slot.cells.length; index < end; index++) slot.cells.push(tokenAt(index));
    return true;
  }

  #makeRoom(tokens: number): boolean {
    const used = () => this.slots.reduce((sum, slot) => sum + slot.cells.length, 0);
    while (used() + tokens > this.#contextTokens) {
      const idle = this.slots.find((slot) => !slot.isProcessing && slot.cells.length > 0);
      if (idle === undefined) return false;
      idle.clear();
    }
    return true;
  }

  #overflow(): void {
    for (const slot of this.slots) {
      if (!slot.isProcessing) continue;
      slot.clear();
      this.#release(slot);
      this.#totals.overflow += 1;
      slot.task?.sequence.listener.failed({ kind: 'overflow', message: OVERFLOW_MESSAGE });
    }
  }

  #produce(slot: Slot, task: SlotTask, tokens: number): void {
    const { sequence } = task;
    const produced = Math.min(tokens, sequence.outputTokens - task.generatedTokens);
    task.generatedTokens += produced;
    this.#totals.generatedTokens += produced;
    if (produced > 0) sequence.listener.tokens(produced);
    if (task.generatedTokens < sequence.outputTokens) return;
    this.#release(slot);
    sequence.listener.finished(task.cachedTokens);
  }

  #release(slot: Slot): void {
    this.#uses += 1;
    slot.lastUse = this.#uses;
    slot.release();
  }
}

function runs(slot: Slot, sequence: Sequence): boolean {
  return slot.isProcessing && slot.task?.sequence === sequence;
}

function isPrefilling(slot: Slot): boolean {
  return slot.isProcessing && slot.task?.generatedTokens === 0;
}
