/**
 * What a request becomes: one sequence for each prompt and sample, whose text
 * and length follow from the server's seed, the prompt and the request's seed.
 */
import type { FinishReason } from './answer-format.ts';
import type { GenerationRequest, Prompt } from './dialect.ts';
import type { EngineFault, Sequence } from './engine.ts';
import { FNV_BASIS, hash32 } from './hash.ts';
import { naturalLength, OutputText } from './output-text.ts';

export interface GenerationSettings {
  readonly modelId: string;
  readonly seed: number;
  readonly answerTokens: { readonly min: number; readonly max: number } | null;
}

export interface Choice {
  readonly sequence: Sequence;
  readonly reason: FinishReason;
  producedTokens: number;
  writtenTokens: number;
  /** Set when the engine is done with it. */
  cachedTokens: number | null;
  /** Its finish chunk was written. */
  isClosed: boolean;
}

/** Choices in the order of their index. The engine fills them; `failed` hears of faults. */
export function planChoices(
  request: GenerationRequest,
  settings: GenerationSettings,
  failed: (fault: EngineFault) => void,
): readonly Choice[] {
  return request.prompts.flatMap((prompt) =>
    Array.from({ length: request.samplesPerPrompt }, (_, sample) => {
      const seed = hash32(promptHash(prompt, request.seed, settings.seed), [sample]);
      const natural = request.ignoreEos
        ? Number.POSITIVE_INFINITY
        : naturalLength(seed, settings.answerTokens);
      return planChoice(request, prompt, seed, natural, failed);
    }),
  );
}

/** Follows from the request, so that equal requests get equal answers; two of them share an id. */
export function answerId(request: GenerationRequest, serverSeed: number): string {
  const hash = promptHash(request.prompts[0], request.seed, serverSeed);
  const hex = hash.toString(16).padStart(8, '0');
  return request.kind === 'chat' ? `chatcmpl-${hex}` : `cmpl-${hex}`;
}

function planChoice(
  request: GenerationRequest,
  prompt: Prompt,
  seed: number,
  naturalTokens: number,
  failed: (fault: EngineFault) => void,
): Choice {
  const choice: Choice = {
    sequence: {
      prompt: prompt.tokens,
      text: new OutputText(seed),
      outputTokens: Math.min(prompt.maxOutputTokens, naturalTokens),
      slot: request.slot,
      reusesPrefix: request.reusesPrefix,
      listener: {
        tokens: (count) => {
          choice.producedTokens += count;
        },
        finished: (cachedTokens) => {
          choice.cachedTokens = cachedTokens;
        },
        failed,
      },
    },
    reason: naturalTokens <= prompt.maxOutputTokens ? 'stop' : 'length',
    producedTokens: 0,
    writtenTokens: 0,
    cachedTokens: null,
    isClosed: false,
  };
  return choice;
}

function promptHash(prompt: Prompt | undefined, requestSeed: string, serverSeed: number): number {
  const seeded = hash32(FNV_BASIS, [serverSeed, ...new TextEncoder().encode(requestSeed)]);
  return hash32(seeded, prompt?.tokens ?? []);
}
