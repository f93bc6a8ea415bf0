/** One llama.cpp slot: the tokens in its cells, and the task that runs on it or ran last. */
import type { Sequence } from './engine.ts';
import { TokenMeter } from './pace.ts';

export class SlotTask {
  readonly id: number;
  readonly sequence: Sequence;
  readonly meter = new TokenMeter();
  /** Prompt tokens taken over from the slot's cache. */
  readonly cachedTokens: number;
  processedTokens = 0;
  generatedTokens = 0;

  constructor(id: number, sequence: Sequence, cachedTokens: number) {
    this.id = id;
    this.sequence = sequence;
    this.cachedTokens = cachedTokens;
  }
}

export class Slot {
  readonly id: number;
  /** One entry for each cell in use; kept after a task ends, for the next one's prefix. */
  readonly cells: number[] = [];
  task: SlotTask | null = null;
  isProcessing = false;
  /** Order of last use: the smallest is the least recently used. */
  lastUse = 0;
  /** Called once when the slot becomes idle. */
  readonly onIdle: (() => void)[] = [];

  constructor(id: number) {
    this.id = id;
  }

  /** Keeps the longest common prefix with the new prompt, one token short of all of it. */
  start(taskId: number, sequence: Sequence): void {
    const lastPosition = Math.max(0, sequence.prompt.length - 1);
    const reused = sequence.reusesPrefix
      ? Math.min(this.commonPrefix(sequence.prompt), lastPosition)
      : 0;
    this.cells.length = reused;
    this.task = new SlotTask(taskId, sequence, reused);
    this.isProcessing = true;
  }

  /** Ends the task; the cells stay as a cache. */
  release(): void {
    this.isProcessing = false;
    for (const callback of this.onIdle.splice(0)) callback();
  }

  /** Empties the cells and tells how many there were. */
  clear(): number {
    return this.cells.splice(0).length;
  }

  commonPrefix(prompt: Uint32Array): number {
    const limit = Math.min(prompt.length, this.cells.length);
    let length = 0;
    while (length < limit && prompt[length] === this.cells[length]) length++;
    return length;
  }
}
