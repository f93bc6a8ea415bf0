/** Counts the prompt of one body; runs in the worker. */
import type { RequestKind } from '../../backend-adapters/adapter.ts';
import type { TokenRange } from '../memory/token-bounds.ts';
import type { LocalCounts } from '../state/counts/local-counter.ts';
import type { Chat } from './bodies/chat.ts';
import { readChat } from './bodies/chat-body.ts';
import { entriesOf, holdsHugeNumber, listMember, member } from './bodies/json-value.ts';
import { readMessagesChat } from './bodies/messages-body.ts';
import { readResponsesChat } from './bodies/responses-body.ts';
import type { PromptJob } from './count-job.ts';
import { harmonyPrompts } from './printing/harmony-dialects.ts';
import { anyTemplate } from './printing/plain-template.ts';
import { PromptParts } from './printing/prompt-parts.ts';
import type { Vocabulary } from './token-count.ts';
import { traitsOf, traitsOfTexts } from './traits.ts';

/**
 * A count for each way in which engines print such a body, always in the same
 * order; null for a way that can't print it, and as a whole where nothing can be
 * said: media, members that change the prompt in an unknown way.
 */
export function countPrompt(
  job: PromptJob,
  vocabulary: Vocabulary,
  deadlineMs: number,
): LocalCounts | null {
  const body: unknown = JSON.parse(new TextDecoder().decode(job.body));
  if (job.kind === 'completion') {
    // The file's tokenizer finds its own special tokens in a text.
    const ways = job.vocabulary === 'file' ? [false] : [true, false];
    return countTexts(body, ways, vocabulary, deadlineMs);
  }
  // A seed may be one, and is not printed.
  const printed = entriesOf(body).filter(([, value]) => typeof value === 'object');
  const chat = printed.some(([, value]) => holdsHugeNumber(value)) ? null : readAs(job.kind, body);
  if (chat === null) return null;
  const traits = traitsOf(chat);
  if (job.vocabulary === 'file') {
    return { traits, counts: [anyTemplate(chat, job.framing, vocabulary, deadlineMs)] };
  }
  const counting = remembering(vocabulary);
  const prompts = harmonyPrompts(chat);
  return { traits, counts: prompts.map((prompt) => prompt?.count(counting, deadlineMs) ?? null) };
}

function readAs(kind: RequestKind, body: unknown): Chat | null {
  switch (kind) {
    case 'chat':
    case 'native-chat':
      return readChat(body);
    case 'responses':
      return readResponsesChat(body);
    case 'messages':
      return readMessagesChat(body);
    default:
      return null;
  }
}

/** One prompt or several, as they are: special tokens that they spell are read as such, or as text. */
function countTexts(
  body: unknown,
  ways: readonly boolean[],
  vocabulary: Vocabulary,
  deadlineMs: number,
): LocalCounts | null {
  const unknown = ['add_special_tokens', 'suffix', 'truncate_prompt_tokens'];
  if (unknown.some((name) => member(body, name) !== undefined)) return null;
  const prompt = member(body, 'prompt');
  const prompts = typeof prompt === 'string' ? [prompt] : listMember(body, 'prompt');
  const texts = prompts.filter((text) => typeof text === 'string');
  if (texts.length === 0 || texts.length < prompts.length) return null;
  const counts = ways.map((readsSpecials) => {
    const parts = new PromptParts({ readsSpecials });
    for (const text of texts) parts.text(text);
    return parts.special(texts.length * vocabulary.addedTokens).count(vocabulary, deadlineMs);
  });
  return { traits: traitsOfTexts(texts), counts };
}

/** The dialects print the same texts: each is counted once. */
function remembering(vocabulary: Vocabulary): Vocabulary {
  const counted = new Map<string, TokenRange>();
  return {
    ...vocabulary,
    count(text, deadlineMs) {
      const known = counted.get(text);
      if (known !== undefined) return known;
      const count = vocabulary.count(text, deadlineMs);
      counted.set(text, count);
      return count;
    },
  };
}
