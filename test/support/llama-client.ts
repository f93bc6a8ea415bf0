/** A plain client of llama-server, for tests that talk to it with nothing between. */
import type { RunningLlamaServer } from './llama-server.ts';

/** One element of GET /slots, as far as tests read it. */
export interface Slot {
  readonly id: number;
  readonly n_ctx: number;
  readonly is_processing: boolean;
  /** Absent until the slot has had a task. */
  readonly n_prompt_tokens?: number;
  readonly next_token?: readonly { readonly n_remain: number; readonly n_decoded: number }[];
}

export interface ChatAnswer {
  readonly choices: readonly { readonly finish_reason: string }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

export const CHAT = '/v1/chat/completions';

/** A chat of one user message; the tiny model's template adds 18 tokens to it. */
export const user = (content: string) => ({ messages: [{ role: 'user', content }] });

/** What every request gets that was in flight when the unified pool overflowed. */
export const CONTEXT_EXCEEDED = {
  error: { code: 500, message: 'Context size has been exceeded.', type: 'server_error' },
};

export async function get<T = unknown>(
  server: RunningLlamaServer,
  path: string,
): Promise<Answer<T>> {
  const response = await fetch(`${server.url}${path}`);
  return { status: response.status, body: (await response.json()) as T };
}

export async function post<T = unknown>(
  server: RunningLlamaServer,
  path: string,
  body: unknown,
): Promise<Answer<T>> {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as T };
}

export async function slotsOf(server: RunningLlamaServer): Promise<Slot[]> {
  return (await get<Slot[]>(server, '/slots')).body;
}
