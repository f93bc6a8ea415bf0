/**
 * Chats as those print them who do not use the chat template: openai-harmony,
 * the library behind vLLM's and SGLang's own routes, and Ollama.
 */
import type { Turn } from '../bodies/chat.ts';
import {
  addMessage,
  addSystemMessage,
  addToChannel,
  type Dialect,
  GENERATION_PROMPT,
  lastFinalAnswer,
} from './harmony-messages.ts';
import { libraryTools, ollamaTools } from './harmony-tools.ts';
import { PromptParts } from './prompt-parts.ts';

/** ` json` after the channel of a call may be nothing, or be ` <|constrain|>json`. */
const CONTENT_TYPE_TOKENS = 2;

/** openai/harmony: src/encoding.rs, with the messages that vLLM's harmony_utils.py makes. */
export const harmonyLibrary: Dialect = (chat) => {
  const prompt = new PromptParts({ readsSpecials: false });
  addSystemMessage(prompt, chat);
  const sections = [
    ...(chat.instructions === null ? [] : [`# Instructions\n\n${chat.instructions}`]),
    ...(chat.tools.length === 0 ? [] : [`# Tools\n\n${libraryTools(chat.tools)}`]),
  ];
  if (sections.length > 0) addMessage(prompt, 'developer', sections.join('\n\n'));
  const lastFinal = lastFinalAnswer(chat.turns);
  for (const [index, turn] of chat.turns.entries()) {
    switch (turn.role) {
      case 'user':
        addMessage(prompt, 'user', turn.text);
        break;
      case 'system':
      case 'developer':
        prompt.perhaps(`developer# Instructions\n\n${turn.text}`, 4);
        break;
      case 'tool':
        if (turn.name === null) return null;
        addToChannel(prompt, `functions.${turn.name} to=assistant`, 'commentary', turn.text);
        break;
      case 'assistant':
        if (index > lastFinal && turn.thinking !== '') {
          prompt.perhaps(`assistantanalysis${turn.thinking}`, 5);
        }
        addAnswer(prompt, turn);
        for (const { name, arguments: json } of turn.calls) {
          addToChannel(prompt, `assistant to=functions.${name}`, 'commentary json', json);
          prompt.slack(CONTENT_TYPE_TOKENS, CONTENT_TYPE_TOKENS);
        }
    }
  }
  return prompt.special().text(GENERATION_PROMPT);
};

/** The template that Ollama gives its gpt-oss (ollama: x/create/client/create.go). */
export const ollamaTemplate: Dialect = (chat) => {
  const prompt = new PromptParts({ readsSpecials: true });
  addSystemMessage(prompt, chat);
  const { instructions, instructor } = chat;
  const leading = instructions === null ? [] : [{ role: instructor, text: instructions }];
  const texts = [...leading, ...chat.turns].flatMap(({ role, text }) =>
    role === 'system' ? [text] : [],
  );
  const system = texts.join('\n\n');
  if (instructor === 'developer') prompt.perhaps(`developer# Instructions\n\n${instructions}`, 5);
  const told = system === '' ? '' : `\n\n# Instructions\n\n${system}`;
  const functions = chat.tools.length === 0 ? '' : `# Tools\n\n${ollamaTools(chat.tools)}`;
  if (told !== '' || functions !== '') addMessage(prompt, 'developer', `${functions}${told}`);
  const lastUser = chat.turns.findLastIndex(({ role }) => role === 'user');
  for (const [index, turn] of chat.turns.entries()) {
    switch (turn.role) {
      case 'user':
        addMessage(prompt, 'user', turn.text);
        break;
      case 'system':
        break;
      case 'developer':
        prompt.perhaps(`developer${turn.text}`, 4);
        break;
      case 'tool':
        // Only Ollama's own API names the tool.
        addMessage(prompt, `functions.${turn.name ?? ''} to=assistant`, turn.text);
        if (turn.name === null) prompt.slack(1, MAX_NAME_TOKENS);
        break;
      case 'assistant':
        if (index > lastUser && turn.thinking !== '') {
          addToChannel(prompt, 'assistant', 'analysis', turn.thinking);
        }
        addAnswer(prompt, turn);
        for (const { name, arguments: json } of turn.calls) {
          prompt.special().text('assistant').special().text(`commentary to=functions.${name} `);
          addMessage(prompt, 'json', json);
          // Go prints the arguments anew: with its own order and escapes.
          const marks = json.match(/[",:\\<>&]/gu)?.length ?? 0;
          prompt.slack(marks, marks);
        }
    }
  }
  return prompt.special().text(GENERATION_PROMPT);
};

/** A function's name has 64 characters at most (OpenAI's API reference). */
const MAX_NAME_TOKENS = 64;

function addAnswer(
  prompt: PromptParts,
  { text, calls }: Turn & { readonly role: 'assistant' },
): void {
  // Beside calls an empty content is no message.
  if (text !== '' || calls.length === 0) addToChannel(prompt, 'assistant', 'final', text);
}
