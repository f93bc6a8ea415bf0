/**
 * How engines print a chat for gpt-oss. All speak the Harmony format, each with
 * small differences, and none tells which it is: so a chat is counted in every
 * dialect, and the engine's own counts show which of them it is (state/token-trust.ts).
 */
import type { Chat, Turn } from '../bodies/chat.ts';
import { harmonyLibrary, ollamaTemplate } from './harmony-library.ts';
import type { Dialect } from './harmony-messages.ts';
import { jinjaTemplate } from './harmony-template.ts';
import { marksOfDefaults } from './harmony-tools.ts';
import type { PromptParts } from './prompt-parts.ts';

/** In a fixed order: what is learned of one refers to it by its place. */
const DIALECTS: readonly Dialect[] = [
  // openai/gpt-oss, chat_template.jinja, as published with the models since the end of August 2025.
  jinjaTemplate({ endsInstructions: true, quotesText: true }),
  // The same with the corrections of those who publish the models anew (unsloth).
  jinjaTemplate({ endsInstructions: false, quotesText: false }),
  harmonyLibrary,
  ollamaTemplate,
];

/** null where a dialect can't print it. */
export function harmonyPrompts(chat: Chat): readonly (PromptParts | null)[] {
  const toolTokens = chat.tools.length * TOOL_TOKENS + marksOfDefaults(chat.tools);
  return DIALECTS.map((dialect) => {
    const prompt = dialect(chat);
    if (prompt === null) return null;
    for (const text of chat.perhaps) prompt.perhaps(text, PERHAPS_FRAME);
    if (typeof chat.effort === 'string' && !KNOWN_EFFORTS.has(chat.effort)) prompt.slack(3, 3);
    if (endsWithAnswer(chat.turns)) prompt.slack(PREFILL, PREFILL);
    const slack = chat.joints + toolTokens;
    return prompt.slack(slack, slack);
  });
}

/** Others are mapped to one of these, refused, or printed as they are. */
const KNOWN_EFFORTS: ReadonlySet<string> = new Set(['low', 'medium', 'high']);
/** A heading and a frame around what some engines print. */
const PERHAPS_FRAME = 16;
/** Versions of a template differ in details of the types they print: a default, a number's form. */
const TOOL_TOKENS = 4;
/** An answer that is to go on: its end and the begin of the next, printed or not. */
const PREFILL = 4;

function endsWithAnswer(turns: readonly Turn[]): boolean {
  return turns.at(-1)?.role === 'assistant';
}
