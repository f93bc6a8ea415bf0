/** Time as the state rooms see it: injected, so that tests own it. */
export interface Clock {
  /** Milliseconds of a monotonic clock; only differences mean anything. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs`, unless the returned function was called first. */
  after(delayMs: number, fn: () => void): () => void;
}
