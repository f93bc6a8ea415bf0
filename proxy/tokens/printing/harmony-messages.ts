/**
 * What all who print the Harmony format agree on: the frames of its messages,
 * and the system message (openai/harmony: docs/format.md).
 */
import type { Chat, Turn } from '../bodies/chat.ts';
import type { PromptParts } from './prompt-parts.ts';

/** How an engine prints a chat; null where it can't be printed so. */
export type Dialect = (chat: Chat) => PromptParts | null;

const IDENTITY = 'You are ChatGPT, a large language model trained by OpenAI.';
/** The day's date has as many tokens as any other. */
const TOP = `${IDENTITY}\nKnowledge cutoff: 2024-06\nCurrent date: 2026-01-01`;
const CHANNELS =
  '# Valid channels: analysis, commentary, final. Channel must be included for every message.';
const FUNCTIONS = "\nCalls to these tools must go to the commentary channel: 'functions'.";

export const GENERATION_PROMPT = 'assistant';

export function addSystemMessage(prompt: PromptParts, { effort, tools }: Chat): void {
  const reasoning = effort === false ? '' : `Reasoning: ${effort ?? 'medium'}\n\n`;
  const text = `${TOP}\n\n${reasoning}${CHANNELS}${tools.length > 0 ? FUNCTIONS : ''}`;
  addMessage(prompt, 'system', text);
}

/** `<|start|>` header `<|message|>` text `<|end|>`, or another token at its end. */
export function addMessage(prompt: PromptParts, header: string, text: string): void {
  prompt.special().text(header).special().text(text).special();
}

/** With a channel, and what follows it in the header. */
export function addToChannel(
  prompt: PromptParts,
  header: string,
  channel: string,
  text: string,
): void {
  prompt.special().text(header);
  addMessage(prompt, channel, text);
}

/** Where the last answer without calls is, -1 without one: what was thought before it is dropped. */
export function lastFinalAnswer(turns: readonly Turn[]): number {
  return turns.findLastIndex((turn) => turn.role === 'assistant' && turn.calls.length === 0);
}
