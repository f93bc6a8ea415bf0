/** The interface between HTTP and the three engines: sequences go in, tokens come out. */
import type { OutputText } from './output-text.ts';

/** One sequence to generate. Its length is known beforehand: text and limits are. */
export interface Sequence {
  readonly prompt: Uint32Array;
  readonly text: OutputText;
  /** Tokens it will produce if nothing stops it; 0 fills the cache only. */
  readonly outputTokens: number;
  /** llama.cpp `id_slot` and `cache_prompt`; the others ignore them. */
  readonly slot: number | null;
  readonly reusesPrefix: boolean;
  readonly listener: SequenceListener;
}

/** Called from `Engine.advance`. After `finished`, `failed` or a cancel nothing more is called. */
interface SequenceListener {
  /** `count` more tokens were produced. */
  tokens(count: number): void;
  /** `cachedTokens` of the prompt were found in a cache and not computed. */
  finished(cachedTokens: number): void;
  failed(fault: EngineFault): void;
}

export interface EngineFault {
  readonly kind: 'oom' | 'overflow';
  readonly message: string;
}

export interface EngineCounters {
  /** Sequences in the engine now, and the most that ran at one moment. */
  readonly running: number;
  readonly waiting: number;
  readonly maxRunning: number;
  /** Sequences that ended by an OOM, or by an overflow of a shared pool. */
  readonly oom: number;
  readonly overflow: number;
  readonly preemptions: number;
  /** Tokens since the start, cached ones included in the prompts. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

export interface Engine {
  /** Accepts a sequence; nothing happens to it before the next `advance`. */
  submit(sequence: Sequence): void;
  /** Lets go of a sequence and all it holds. Unknown ones are ignored. */
  cancel(sequence: Sequence): void;
  /** Lets `seconds` of simulated time pass. */
  advance(seconds: number): void;
  counters(): EngineCounters;
}

/** Counters an engine keeps; `running` and `waiting` are read from its queues. */
export type EngineTotals = {
  -readonly [Name in Exclude<keyof EngineCounters, 'running' | 'waiting'>]: number;
};

export function noTotals(): EngineTotals {
  return {
    maxRunning: 0,
    oom: 0,
    overflow: 0,
    preemptions: 0,
    promptTokens: 0,
    cachedTokens: 0,
    generatedTokens: 0,
  };
}
