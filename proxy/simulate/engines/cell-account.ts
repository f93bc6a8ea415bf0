/**
 * Cells of llama-server's slots, as in `simulated-server/slots-engine.ts`. Split:
 * a slot has cells of its own, and what reaches their end just ends. Unified:
 * one pool, and a batch that does not fit ends every task in flight. Caches of
 * idle slots are cleared when room is needed, so they count for nothing.
 */
import type { SlotsShape } from '../../../backend-adapters/simulated-server/slots-memory.ts';
import { slotContextTokens } from '../../../backend-adapters/simulated-server/slots-memory.ts';
import type { Entry } from './entry.ts';
import type { KvAccount } from './kv-account.ts';

export class CellAccount implements KvAccount {
  readonly onShortage = 'end-all';
  readonly failure = 'overflow';
  readonly prefillsTogether = false;
  readonly capacityUnits: number;
  readonly maxRunning: number;
  usedUnits = 0;
  readonly #slotTokens: number;
  #decoding = 0;

  constructor(shape: SlotsShape) {
    this.#slotTokens = slotContextTokens(shape);
    this.maxRunning = shape.slots;
    this.capacityUnits = shape.unified ? this.#slotTokens : this.#slotTokens * shape.slots;
  }

  /** A prompt that fills a slot is refused, as llama-server does with a 400. */
  start({ promptTokens }: Entry): 'starts' | 'fails' {
    return promptTokens < this.#slotTokens ? 'starts' : 'fails';
  }

  gateUnits(): number {
    return Number.POSITIVE_INFINITY;
  }

  prefillUnits({ computedTokens }: Entry, chunkTokens: number): number {
    return computedTokens + chunkTokens;
  }

  prefilledUnits({ heldUnits }: Entry): number {
    return heldUnits;
  }

  decodeUnits(tokens: number): number {
    return tokens;
  }

  outputLimitTokens(promptTokens: number): number {
    return Math.max(1, this.#slotTokens - promptTokens);
  }

  join(): void {
    this.#decoding += 1;
  }

  leave(): void {
    this.#decoding -= 1;
  }

  stepUnits(): number {
    return this.#decoding;
  }

  quietSteps(limit: number): number {
    if (this.#decoding === 0) return limit;
    return Math.min(limit, Math.floor((this.capacityUnits - this.usedUnits) / this.#decoding));
  }

  grow(steps: number): void {
    this.usedUnits += steps * this.#decoding;
  }
}
