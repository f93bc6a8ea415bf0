/**
 * A chat under a template that is not known: the text of its messages is counted,
 * what the template adds is bounded as the engine's adapter does it.
 */
import type { TokenRange } from '../../memory/token-bounds.ts';
import type { Chat, Turn } from '../bodies/chat.ts';
import type { PromptFraming } from '../count-job.ts';
import { NO_TOKENS, plus, type Vocabulary } from '../token-count.ts';

/** Where a text meets the template's own, both may share a token, or be split otherwise. */
const SEAM_TOKENS = 2;

export function anyTemplate(
  chat: Chat,
  framing: PromptFraming,
  vocabulary: Vocabulary,
  deadlineMs: number,
): TokenRange {
  const messages: readonly Turn[] =
    chat.instructions === null
      ? chat.turns
      : [{ role: chat.instructor, text: chat.instructions }, ...chat.turns];
  let sum = NO_TOKENS;
  let seams = 0;
  for (const { text } of messages) {
    // Templates trim, and the white space of a text may be left out.
    const whole = vocabulary.count(text, deadlineMs);
    const trimmed = text.trim();
    const least = trimmed === text ? whole : vocabulary.count(trimmed, deadlineMs);
    sum = plus(sum, { ...whole, lo: Math.max(0, least.lo - SEAM_TOKENS) });
    seams += SEAM_TOKENS;
  }
  const template = framing.baseTokens + messages.length * framing.perMessageTokens;
  const expected = sum.expected + template;
  return {
    lo: Math.max(1, sum.lo),
    expected,
    hi: sum.hi + template + seams + printedBytes(chat, messages),
  };
}

/** What a template may print besides, or leave out: a token has a byte at least. */
function printedBytes({ tools, perhaps }: Chat, messages: readonly Turn[]): number {
  const besides = messages.flatMap((turn) => {
    if (turn.role === 'tool') return [turn.name ?? '', turn.callId ?? ''];
    return turn.role === 'assistant' ? [turn.thinking, JSON.stringify(turn.calls)] : [];
  });
  const texts = [...besides, ...perhaps, ...(tools.length === 0 ? [] : [JSON.stringify(tools)])];
  return texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}
