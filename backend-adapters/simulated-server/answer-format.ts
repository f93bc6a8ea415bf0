/** OpenAI's answers, whole and in server-sent events. */
import type { JsonObject, RouteKind } from './dialect.ts';

export type FinishReason = 'stop' | 'length';

/** Fixed, as ids are: equal requests to equal servers get equal bytes. */
const CREATED = 1_754_352_000;

export const DONE_EVENT = 'data: [DONE]\n\n';

export function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

export class AnswerFormat {
  readonly #kind: RouteKind;
  readonly #id: string;
  readonly #model: string;

  constructor(kind: RouteKind, id: string, model: string) {
    this.#kind = kind;
    this.#id = id;
    this.#model = model;
  }

  /** What opens a choice: the role in a chat, nothing in a completion. */
  opening(index: number): string {
    if (this.#kind === 'completion') return '';
    return this.#chunk(index, { role: 'assistant', content: '' }, null);
  }

  /** One event for each character, as each is a token. */
  content(index: number, text: string): string {
    const [before = '', after = ''] = this.#contentEvent(index, MARK).split(JSON.stringify(MARK));
    return [...text].map((piece) => before + JSON.stringify(piece) + after).join('');
  }

  finish(index: number, reason: FinishReason, members: JsonObject): string {
    if (this.#kind === 'chat') return this.#chunk(index, {}, reason, members);
    return event({ ...this.#head(true), choices: [textChoice(index, '', reason)], ...members });
  }

  usage(members: JsonObject): string {
    return event({ ...this.#head(true), choices: [], ...members });
  }

  /** The answer to a request that does not stream; choices are in the order of their index. */
  whole(
    choices: readonly { readonly text: string; readonly reason: FinishReason }[],
    members: JsonObject,
  ): JsonObject {
    return {
      ...this.#head(false),
      choices: choices.map(({ text, reason }, index) =>
        this.#kind === 'chat'
          ? { index, message: { role: 'assistant', content: text }, finish_reason: reason }
          : textChoice(index, text, reason),
      ),
      ...members,
    };
  }

  #contentEvent(index: number, text: string): string {
    if (this.#kind === 'chat') return this.#chunk(index, { content: text }, null);
    return event({ ...this.#head(true), choices: [textChoice(index, text, null)] });
  }

  #chunk(index: number, delta: JsonObject, reason: FinishReason | null, more?: JsonObject): string {
    const choices = [{ index, delta, finish_reason: reason }];
    return event({ ...this.#head(true), choices, ...more });
  }

  #head(streamed: boolean): JsonObject {
    const chat = streamed ? 'chat.completion.chunk' : 'chat.completion';
    const object = this.#kind === 'chat' ? chat : 'text_completion';
    return { id: this.#id, object, created: CREATED, model: this.#model };
  }
}

/** Stands for the text of a content event while its frame is made once for many tokens. */
const MARK = '\u0000';

function textChoice(index: number, text: string, reason: FinishReason | null): JsonObject {
  return { index, text, logprobs: null, finish_reason: reason };
}
