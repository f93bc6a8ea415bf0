/**
 * What differs between engines that speak the APIs which several of them share:
 * the data by which the shared parsers and the shared rewriter are steered.
 */
import type { GenerationRoute, RequestKind } from './adapter.ts';

/** The two bodies that are OpenAI's own and that every engine shares. */
export type OpenAiKind = Extract<RequestKind, 'chat' | 'completion'>;

/** OpenAI's Responses. */
export interface ResponsesRules {
  /** As `OpenAiDialect.outputLimits`. */
  readonly outputLimits: readonly [...string[], string];
  /** The engine's own limit where a request names none; null: it has none. */
  readonly defaultTokens: number | null;
  /** Whether a request that says nothing about it is streamed. */
  readonly streamsByDefault: boolean;
  /** Beside `OpenAiDialect.refusedFields`. */
  readonly refusedFields: ReadonlyMap<string, string>;
}

/** Anthropic's Messages; the limit is `max_tokens`, whatever aliases other routes have. */
export interface MessagesRules {
  /** The engine's own limit where a request names none; `required`: it refuses those. */
  readonly missingLimit: number | 'required';
}

/** Bodies whose every text is one sequence without output. */
export interface EmbeddingRules {
  /** Fields that hold the texts or token ids, the one the engine obeys first. */
  readonly inputs: readonly [string, ...string[]];
  /** As `OpenAiDialect.prompts`. */
  readonly prompts: OpenAiDialect['prompts'];
  /** Beside `OpenAiDialect.refusedFields`. */
  readonly refusedFields: ReadonlyMap<string, string>;
  /** Whether a chat (`messages`) may stand in their place. */
  readonly takesMessages: boolean;
}

/** Bodies that compare one text with others: each pair is one sequence without output. */
export interface RankingRules {
  /** Names under which the two sides may come; a side is one text or a list. */
  readonly sides: ReadonlyArray<readonly [one: string, other: string]>;
}

export interface OpenAiDialect {
  /** Routes that generate, and how their bodies are read. */
  readonly routes: readonly GenerationRoute[];
  /**
   * Fields that limit the output of one sequence, the one the engine obeys
   * first; the first that is not null holds. A missing limit is written as the last.
   */
  readonly outputLimits: Readonly<Record<OpenAiKind, readonly [...string[], string]>>;
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
  /** Whether a stream tells its usage only where `stream_options.include_usage` asks for it. */
  readonly usageOnRequest: boolean;
  /** Fields that would carry a request past its estimate, with what the caller is told. */
  readonly refusedFields: ReadonlyMap<string, string>;
  /** Null: the engine has no route of that kind. */
  readonly responses: ResponsesRules | null;
  readonly messages: MessagesRules | null;
  readonly embeddings: EmbeddingRules | null;
  readonly rankings: RankingRules | null;
}
