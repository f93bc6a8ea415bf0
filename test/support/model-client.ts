/** A plain client of a model server, for tests that talk to it with nothing between. */

export interface Reply<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `text` as JSON; undefined where it is none. */
  readonly body: T;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** What chat and text completions have in common. */
export interface Completion {
  readonly choices: readonly { readonly finish_reason: string }[];
  readonly usage: Usage;
}

/** Sends `body` as JSON, text and bytes as they are; without one it is a GET. */
export async function ask<T = unknown>(
  url: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply<T>> {
  const init = { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) };
  const response = await fetch(url, {
    ...(body === undefined ? {} : init),
    headers: { 'content-type': 'application/json', ...headers },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) as T };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The events of an event stream, each without the blank line that ends it. */
export const eventsOf = (text: string) => text.split('\n\n').filter((event) => event !== '');

/** The JSON of an event's data line, whatever its other lines are. */
export function dataOf(event: string): unknown {
  const line = event.split('\n').find((each) => each.startsWith('data: ')) ?? '';
  return JSON.parse(line.slice('data: '.length));
}

export const user = (content: string) => [{ role: 'user', content }];
