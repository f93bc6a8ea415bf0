/**
 * The proof that an engine works: one token out of it. A list of models or a
 * green health route says no more than that a web server is up.
 */
import type { EngineIo } from './adapter.ts';
import { faultText, field, listField, parseJson } from './engine-answer.ts';

const PROMPT = [{ role: 'user', content: 'Hi' }];
const MAX_DETAIL_CHARS = 200;

/**
 * One token by OpenAI's chat route.
 * @param model null: none is named, and the engine takes its own
 * @param hasOutput whether a 200 holds what was generated
 * @returns null when it worked, else why it did not, in one line; never throws
 */
export async function tryChatToken(
  io: EngineIo,
  model: string | null,
  signal: AbortSignal,
  hasOutput: (answer: unknown) => boolean = hasChoice,
): Promise<string | null> {
  const named = model === null ? {} : { model };
  const body = { ...named, messages: PROMPT, max_tokens: 1 };
  return tryPost(io, '/v1/chat/completions', body, signal, hasOutput);
}

/** One token by any route that answers with JSON. */
export async function tryPost(
  io: EngineIo,
  path: string,
  body: unknown,
  signal: AbortSignal,
  hasOutput: (answer: unknown) => boolean,
): Promise<string | null> {
  try {
    const reply = await io.post(path, JSON.stringify(body), signal);
    if (reply.status === 200 && hasOutput(parseJson(reply.body))) return null;
    return `${path} answered ${reply.status}: ${reply.body.slice(0, MAX_DETAIL_CHARS)}`;
  } catch (error) {
    return faultText(error);
  }
}

/** A choice that says why it ended was generated, even where its one token shows no text. */
function hasChoice(answer: unknown): boolean {
  return listField(answer, 'choices').some(
    (choice) => typeof field(choice, 'finish_reason') === 'string',
  );
}
