/** What the main thread asks of the worker, and what it answers. Plain data: it is copied between them. */
import type { RequestKind } from '../../backend-adapters/adapter.ts';
import type { LocalCounts } from '../state/counts/local-counter.ts';

/** gpt-oss's own, or the one of `--tokenizer`. */
export type VocabularyName = 'o200k_harmony' | 'file';

/** Tokens that a chat template adds at most. */
export interface PromptFraming {
  readonly baseTokens: number;
  readonly perMessageTokens: number;
}

export interface PromptJob {
  readonly task: 'prompt';
  readonly vocabulary: VocabularyName;
  readonly kind: RequestKind;
  readonly body: Uint8Array;
  readonly framing: PromptFraming;
}

export interface SampleJob {
  readonly task: 'sample';
  readonly vocabulary: VocabularyName;
  /** Slices of a body, cut between characters. */
  readonly slices: readonly Uint8Array[];
}

export interface LoadJob {
  readonly task: 'load';
  readonly vocabulary: VocabularyName;
}

export type CountJob = PromptJob | SampleJob | LoadJob;

export type CountAnswer =
  | { readonly outcome: 'loaded' }
  | ({ readonly outcome: 'counted' } & LocalCounts)
  | { readonly outcome: 'sampled'; readonly tokensPerByte: number }
  /** It took too long, or there is no telling; not worth another try. */
  | { readonly outcome: 'unknown'; readonly why: string };

export interface Posted {
  readonly job: CountJob;
  /** The worker gives up by itself then. */
  readonly budgetMs: number;
}
