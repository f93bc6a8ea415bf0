/**
 * What is in a prompt that engines, and those who tune a model, print or tokenize
 * each in a way of their own. That they agree with kvgate on one prompt says
 * nothing of another that has more of it, or less: a server may well add a system
 * prompt where there is none.
 */
import type { Chat, Turn } from './bodies/chat.ts';

const EFFORTS: ReadonlySet<unknown> = new Set(['low', 'medium', 'high', false, null]);
/** Bytes beyond one a character, over characters: French and Turkish have fewer, Greek and Chinese more. */
const FOREIGN_SHARE = 0.2;

/** Words of a small set, in a fixed order. */
export function traitsOf(chat: Chat): string {
  const { instructions, instructor, turns, tools, effort, perhaps } = chat;
  const answers = turns.filter((turn) => turn.role === 'assistant');
  const isSystem = ({ role }: Turn) => role === 'system' || role === 'developer';
  const traits: readonly (readonly [string, boolean])[] = [
    [instructor, instructions !== null],
    ['asides', turns.some(isSystem)],
    ['answers', answers.length > 0],
    ['thoughts', answers.some(({ thinking }) => thinking !== '')],
    ['calls', answers.some(({ calls }) => calls.length > 0)],
    ['results', turns.some(({ role }) => role === 'tool')],
    ['tools', tools.length > 0],
    ['schema', perhaps.length > 0],
    [`effort:${EFFORTS.has(effort) ? effort : 'other'}`, effort !== null],
  ];
  const texts = [instructions ?? '', ...turns.map(({ text }) => text)];
  return named([...traits, scriptOf(texts)]);
}

export function traitsOfTexts(texts: readonly string[]): string {
  return named([['several', texts.length > 1], scriptOf(texts)]);
}

function named(traits: readonly (readonly [string, boolean])[]): string {
  return traits.flatMap(([name, isThere]) => (isThere ? [name] : [])).join(' ');
}

/** Vocabularies agree on English before they do on anything else. */
function scriptOf(texts: readonly string[]): readonly [string, boolean] {
  let chars = 0;
  let bytes = 0;
  for (const text of texts) {
    chars += text.length;
    bytes += Buffer.byteLength(text);
  }
  return ['foreign', bytes - chars > FOREIGN_SHARE * chars];
}
