/** What is measured: a server that says what each generation took of its memory. */

export interface Measured {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Above the idle server; null where it can't be told. */
  readonly prefillPeakBytes: number | null;
  /** Held while decoding, with all tokens there. */
  readonly heldBytes: number | null;
  readonly decodePeakBytes: number | null;
  /** What the allocator keeps, with the weights. */
  readonly reservedBytes: number | null;
}

/** It ran out of memory, or failed in another way: told, and not measured. */
export interface Failed {
  readonly promptTokens: number;
  readonly error: string;
}

export interface Subject {
  /** Device, versions and attention in words, for the report. */
  readonly about: Readonly<Record<string, string>>;
  readonly attention: 'eager' | 'flash';
  measure(promptTokens: number, outputTokens: number): Promise<Measured | Failed>;
  stop(): Promise<void>;
}
