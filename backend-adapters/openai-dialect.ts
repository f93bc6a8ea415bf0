/**
 * What differs between engines that speak OpenAI's two generation routes: the
 * data by which the shared parser and the shared rewriter are steered.
 */
import type { GenerationRoute } from './adapter.ts';

export type RequestKind = GenerationRoute['kind'];

export interface OpenAiDialect {
  /** Paths that generate, and how their bodies are read. */
  readonly routes: readonly GenerationRoute[];
  /**
   * Fields that limit the output of one sequence, the one the engine obeys
   * first; the first that is not null holds. A missing limit is written as the last.
   */
  readonly outputLimits: Readonly<Record<RequestKind, readonly [...string[], string]>>;
  /** A limit that clients set and the engine ignores: their wish where no other is set. */
  readonly ignoredOutputLimit: string | null;
  /** The engine's own limit for a completion that names none at all; null: it has none. */
  readonly completionDefaultTokens: number | null;
  /** Whether -1 asks for no limit. */
  readonly minusOneIsUnlimited: boolean;
  /** Whether a completion may ask for 0 tokens: its prompt is evaluated and nothing more. */
  readonly allowsPrefillOnly: boolean;
  /** A lower bound of the output, refused by the engine when it exceeds the limit. */
  readonly outputFloor: string | null;
  /** Fields that multiply the sequences of a prompt; the largest is charged. */
  readonly sampleFields: readonly string[];
  /** Whether the engine obeys them at all. */
  readonly samplesAreIgnored: boolean;
  /** `lists`: texts or token ids; `mixed`: llama.cpp's, where both may stand side by side. */
  readonly prompts: 'one-string' | 'lists' | 'mixed';
  /** Whether temperature 0 is refused for more than one sample of a prompt. */
  readonly greedyNeedsOneSample: boolean;
  /** Fields that would carry a request past its estimate, with what the caller is told. */
  readonly refusedFields: ReadonlyMap<string, string>;
}

/** How the bodies of `path` are read; null when it does not generate. */
export function kindOf(dialect: OpenAiDialect, path: string): RequestKind | null {
  return dialect.routes.find((route) => route.path === path)?.kind ?? null;
}
