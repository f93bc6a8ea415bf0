/**
 * Blocks of a vLLM pool, as in `simulated-server/paged-engine.ts` without its
 * prefix cache: a prompt starts when all its blocks are free, blocks are taken
 * as tokens come, the sliding group gives back what its window has left.
 */
import {
  admissionBlocks,
  heldBlocks,
} from '../../../backend-adapters/simulated-server/block-counts.ts';
import { BLOCK_TOKENS } from '../../../backend-adapters/simulated-server/content-chain.ts';
import type { Entry } from './entry.ts';
import type { KvAccount } from './kv-account.ts';
import { WindowCrossings } from './window-crossings.ts';

export interface PagedShape {
  /** As vLLM reports them; one of them can't be used. */
  readonly numGpuBlocks: number;
  /** null: every layer keeps every token. */
  readonly windowTokens: number | null;
  readonly maxSequences: number;
  readonly maxBatchedTokens: number;
}

export class BlockAccount implements KvAccount {
  readonly onShortage = 'preempt-last';
  readonly failure = 'overflow';
  readonly prefillsTogether = false;
  readonly capacityUnits: number;
  readonly maxRunning: number;
  usedUnits = 0;
  readonly #shape: PagedShape;
  readonly #groups: 1 | 2;
  /** Sequences that take blocks, and that give one back, at a step with that remainder. */
  readonly #takers = new Int32Array(BLOCK_TOKENS);
  readonly #givers = new Int32Array(BLOCK_TOKENS);
  readonly #crossings: WindowCrossings | null;
  #step = 0;

  constructor(shape: PagedShape) {
    this.#shape = shape;
    this.#groups = shape.windowTokens === null ? 1 : 2;
    this.#crossings = shape.windowTokens === null ? null : new WindowCrossings(shape.windowTokens);
    this.capacityUnits = shape.numGpuBlocks - 1;
    this.maxRunning = shape.maxSequences;
  }

  /** What can't pass the gate of an empty pool would wait for ever: vLLM refuses it as too long. */
  start(entry: Entry): 'starts' | 'waits' | 'fails' {
    const blocks = this.gateUnits(entry);
    if (blocks > this.capacityUnits) return 'fails';
    return blocks > this.capacityUnits - this.usedUnits ? 'waits' : 'starts';
  }

  gateUnits({ targetTokens }: Entry): number {
    return admissionBlocks(targetTokens, this.#shape.windowTokens, this.#shape.maxBatchedTokens);
  }

  prefillUnits({ computedTokens }: Entry, chunkTokens: number): number {
    return heldBlocks(computedTokens, computedTokens + chunkTokens, this.#shape.windowTokens);
  }

  prefilledUnits({ heldUnits }: Entry): number {
    return heldUnits;
  }

  decodeUnits(tokens: number): number {
    return heldBlocks(tokens - 1, tokens, this.#shape.windowTokens);
  }

  outputLimitTokens(): number {
    return Number.POSITIVE_INFINITY;
  }

  join(tokens: number): void {
    this.#count(tokens, 1);
  }

  leave(tokens: number): void {
    this.#count(tokens, -1);
  }

  stepUnits(): number {
    return this.#groups * (this.#takers[(this.#step + 1) % BLOCK_TOKENS] ?? 0);
  }

  quietSteps(limit: number, gateUnits: number): number {
    let free = this.capacityUnits - this.usedUnits;
    // Who reaches the window on the way gives its first block back 16 steps later.
    const shorter = this.#crossings?.shorter ?? 0;
    const sureSteps = shorter > 0 ? Math.min(limit, BLOCK_TOKENS) : limit;
    for (let steps = 0; steps < sureSteps; steps++) {
      if (free >= gateUnits) return steps;
      const at = (this.#step + steps + 1) % BLOCK_TOKENS;
      free -= this.#groups * (this.#takers[at] ?? 0);
      if (free < 0) return steps;
      free += this.#givers[at] ?? 0;
    }
    return sureSteps;
  }

  grow(steps: number): void {
    for (let done = 0; done < steps; done++) {
      this.#step += 1;
      const at = this.#step % BLOCK_TOKENS;
      this.usedUnits += this.#groups * (this.#takers[at] ?? 0) - (this.#givers[at] ?? 0);
      // From the length of the window on it gives a block back at every 16th step.
      const reached = this.#crossings?.reached(this.#step) ?? 0;
      this.#givers[at] = (this.#givers[at] ?? 0) + reached;
    }
  }

  /** A block is taken for its first token: when the cache comes to 16 k + 1 tokens. */
  #count(tokens: number, by: 1 | -1): void {
    const taking = remainder(this.#step + 1 - tokens);
    this.#takers[taking] = (this.#takers[taking] ?? 0) + by;
    const { windowTokens } = this.#shape;
    if (windowTokens === null) return;
    this.#crossings?.count(tokens, this.#step, by);
    if (tokens < windowTokens) return;
    const giving = remainder(this.#step + windowTokens - tokens);
    this.#givers[giving] = (this.#givers[giving] ?? 0) + by;
  }
}

function remainder(steps: number): number {
  return ((steps % BLOCK_TOKENS) + BLOCK_TOKENS) % BLOCK_TOKENS;
}
