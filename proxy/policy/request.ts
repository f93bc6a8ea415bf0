/** A generation request as policy sees it, and what is known of its size. */
import type { TokenBounds } from '../memory/token-bounds.ts';

/** What a generation request asks for, in the engine's terms, whatever its dialect. */
export interface RequestShape {
  readonly kind: 'chat' | 'completion' | 'embedding';
  readonly model: string | null;
  /** Prompt tokens of all prompts of the body together, template framing included. */
  readonly promptTokens: TokenBounds;
  /** Prompts in the body: 1 for chat, the array's length for a completion. */
  readonly prompts: number;
  /** Sequences generated for each prompt (`n`, `best_of`). */
  readonly samplesPerPrompt: number;
  /** Output tokens asked for, of one sequence; null when the request names none. */
  readonly requestedOutputTokens: number | null;
  readonly stream: boolean;
  /** As given by the request; null when it names none and the engine's default holds. */
  readonly temperature: number | null;
  readonly topP: number | null;
  /** How long the model is asked to think; null: not said, or in a word that is not known. */
  readonly reasoningEffort: ReasoningEffort | null;
  readonly hasTools: boolean;
  readonly hasResponseFormat: boolean;
}

export type ReasoningEffort = (typeof REASONING_EFFORTS)[number];

/** From no thinking to the most; the words of all engines and APIs together. */
export const REASONING_EFFORTS = [
  'none',
  'minimal',
  'low',
  'medium',
  'high',
  'xhigh',
  'max',
] as const;

/** Sequences in flight that the request becomes on the engine. */
export function sequencesOf(shape: RequestShape): number {
  return shape.prompts * shape.samplesPerPrompt;
}

/** What is known of a request's size at the moment of a decision. */
export interface Estimate {
  readonly promptTokens: TokenBounds;
  /** null: nothing was learned of such requests yet, or they generate nothing. */
  readonly outputTokens: OutputForecast | null;
}

/** Learned quantiles of the output tokens of one sequence, were it not limited. */
export interface OutputForecast {
  readonly q50Tokens: number;
  /** Covers 95 of 100 outputs, as tracked (conformal). */
  readonly q95Tokens: number;
  readonly q99Tokens: number;
}
