/**
 * An engine as the simulator sees it: requests go in, steps pass, tokens come
 * out, and memory is held as the real engine would hold it. Time is virtual and
 * in milliseconds since the start of the simulation.
 */

/** One sequence to generate. Its true length is known to the engine alone. */
export interface Job {
  readonly promptTokens: number;
  /** Tokens it produces if nothing stops it: the true length, or the limit it was granted. */
  readonly outputTokens: number;
}

/** What becomes of a job; called from `advanceTo`. After an end nothing more is called for the job. */
export interface EngineEvents {
  /** The step that ends at `atMs` brought its first token; called again after no preemption. */
  firstToken(job: Job, atMs: number): void;
  finished(job: Job, atMs: number): void;
  failed(job: Job, kind: 'oom' | 'overflow', atMs: number): void;
}

/** What an operator's probe would read of the engine now. */
export interface EngineGauges {
  /** In the unit of the instance's layout: bytes, blocks or cells; of all that runs. */
  readonly usedUnits: number;
  readonly capacityUnits: number;
  readonly running: number;
  readonly waiting: number;
  /** Since the start. */
  readonly preemptions: number;
}

/**
 * `advanceTo(t)` comes before what is submitted or cancelled at `t`; what is
 * submitted when a step begins is in that step.
 */
export interface EngineModel {
  /** It waits in the engine's own line, without bound, until a step takes it. */
  submit(job: Job): void;
  /** Lets go of a job and all it holds, at once. Unknown ones are ignored. */
  cancel(job: Job): void;
  /** Output tokens of a running job so far; 0 for any other. */
  generatedTokens(job: Job): number;
  /**
   * No later than the end of the next step in which a first token, an end or a failure falls, and
   * mostly just then; Infinity while idle.
   */
  nextEventAtMs(): number;
  /** Runs whole steps up to `atMs`; what is submitted later joins the step after. */
  advanceTo(atMs: number, events: EngineEvents): void;
  gauges(): EngineGauges;
}

/**
 * Milliseconds of one step of continuous batching:
 * base + perSequence x sequences decoding + perPrefillToken x prompt tokens of
 * the step + perKvToken x KV tokens that the decoding sequences read.
 */
export interface StepTime {
  readonly baseMs: number;
  readonly perSequenceMs: number;
  readonly perPrefillTokenMs: number;
  readonly perKvTokenMs: number;
}
