/**
 * The chat template of gpt-oss (openai/gpt-oss: chat_template.jinja), which
 * transformers, llama.cpp, SGLang and others print chats with.
 */
import type { Chat, ToolCall, Turn } from '../bodies/chat.ts';
import {
  addMessage,
  addSystemMessage,
  addToChannel,
  type Dialect,
  GENERATION_PROMPT,
  lastFinalAnswer,
} from './harmony-messages.ts';
import { templateTools } from './harmony-tools.ts';
import { PromptParts } from './prompt-parts.ts';

export interface TemplateTraits {
  /** Two line breaks follow the instructions, even where nothing else does. */
  readonly endsInstructions: boolean;
  /** Arguments and results of tools are printed as JSON strings. */
  readonly quotesText: boolean;
}

export function jinjaTemplate(traits: TemplateTraits): Dialect {
  return (chat) => {
    const prompt = new PromptParts({ readsSpecials: true });
    addSystemMessage(prompt, chat);
    addDeveloperMessage(prompt, chat, traits);
    const lastFinal = lastFinalAnswer(chat.turns);
    let lastCall: string | null = null;
    for (const [index, turn] of chat.turns.entries()) {
      switch (turn.role) {
        case 'user':
          addMessage(prompt, 'user', turn.text);
          break;
        case 'system':
        case 'developer':
          // Only one that leads is printed.
          break;
        case 'tool':
          // The template raises an error.
          if (lastCall === null) return null;
          addToChannel(
            prompt,
            `functions.${lastCall} to=assistant`,
            'commentary',
            traits.quotesText ? JSON.stringify(turn.text) : turn.text,
          );
          break;
        case 'assistant':
          addAnswer(prompt, turn, index < lastFinal, traits);
          lastCall = turn.calls[0]?.name ?? null;
      }
    }
    return prompt.special().text(GENERATION_PROMPT);
  };
}

function addDeveloperMessage(
  prompt: PromptParts,
  { instructions, tools }: Chat,
  { endsInstructions }: TemplateTraits,
): void {
  const told = instructions === null || instructions === '' ? '' : instructions;
  if (told === '' && tools.length === 0) return;
  const heading = told === '' ? '' : `# Instructions\n\n${told}`;
  const isEnded = told !== '' && (endsInstructions || tools.length > 0);
  const functions = tools.length === 0 ? '' : `# Tools\n\n${templateTools(tools)}`;
  addMessage(prompt, 'developer', `${heading}${isEnded ? '\n\n' : ''}${functions}`);
}

function addAnswer(
  prompt: PromptParts,
  turn: Turn & { readonly role: 'assistant' },
  isAnswered: boolean,
  { quotesText }: TemplateTraits,
): void {
  const [call, ...others] = turn.calls;
  if (call === undefined) {
    addToChannel(prompt, 'assistant', 'final', turn.text);
    return;
  }
  // What was thought before a call is dropped as soon as a final answer followed.
  if (!isAnswered && turn.text !== '') {
    addToChannel(prompt, 'assistant', 'analysis', turn.text);
  } else if (!isAnswered && turn.thinking !== '') {
    // Clients call it by several names, of which the template reads one.
    prompt.perhaps(`assistantanalysis${turn.thinking}`, 5);
  }
  addCall(prompt, call, quotesText);
  // It prints one call of a message; engines that print several do it in the same way.
  for (const { name, arguments: json } of others) {
    prompt.perhaps(`assistant to=functions.${name}commentary json${json}`, 6);
  }
}

function addCall(prompt: PromptParts, call: ToolCall, quotesText: boolean): void {
  const header = `assistant to=functions.${call.name}`;
  addToChannel(prompt, header, 'commentary json', call.arguments);
  if (!quotesText) return;
  // Printed as a JSON string, or parsed first and then with spaces after its marks.
  const marks = call.arguments.match(/[",:\\\s]/gu)?.length ?? 0;
  prompt.slack(marks, marks + 2);
}
