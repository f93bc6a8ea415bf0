/** One job in an engine, from its arrival to its end. */
import type { Job } from '../engine-model.ts';

export type FailureKind = 'oom' | 'overflow';

export class Entry {
  readonly job: Job;
  readonly promptTokens: number;
  readonly outputTokens: number;
  state: 'waiting' | 'prefilling' | 'decoding' | 'failing' | 'ended' = 'waiting';
  /** Prefill: tokens to compute, those done, and those of the step in flight. */
  targetTokens: number;
  computedTokens = 0;
  chunkTokens = 0;
  /** What it holds while it is not part of the account's sum over decoding sequences. */
  heldUnits = 0;
  isInSum = false;
  /** Output when it last began to decode, or before it was preempted. */
  producedTokens = 0;
  hasFirstToken = false;
  failure: FailureKind | null = null;
  /** Steps of the engine: the one whose end began its decoding, and the one that ends it. */
  decodesFromStep = 0;
  endStep = 0;
  /** Its place in the heap of ends; -1: none. */
  heapIndex = -1;

  constructor(job: Job, outputTokens: number) {
    this.job = job;
    this.promptTokens = job.promptTokens;
    this.outputTokens = outputTokens;
    this.targetTokens = job.promptTokens;
  }
}
