/**
 * llama.cpp's default: one pool of KV cells for all slots, which any of them
 * can drain, and whose overflow ends every request in flight.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import {
  CHAT,
  type ChatAnswer,
  CONTEXT_EXCEEDED,
  post,
  slotsOf,
  user,
} from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';

describeReal('llama-server with its default, unified slots (-c 4096)', () => {
  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '4096']);
  });
  afterAll(() => server.stop());

  test('each of four slots claims the whole pool', async () => {
    expect((await slotsOf(server)).map((slot) => slot.n_ctx)).toEqual([4096, 4096, 4096, 4096]);
  });

  test('a new task clears idle slots, and /slots shows that at once', async () => {
    await post(server, CHAT, { ...user('a'.repeat(500)), max_tokens: 5, id_slot: 0 });
    expect((await slotsOf(server))[0]?.n_prompt_tokens).toBe(518 + 5 - 1);
    await post(server, CHAT, { ...user('b'.repeat(500)), max_tokens: 5, id_slot: 1 });
    expect((await slotsOf(server))[0]?.n_prompt_tokens).toBe(0);
  });

  test('an overflow of the pool ends every request in flight', async () => {
    const request = (content: string) => ({ ...user(content.repeat(1482)), max_tokens: 1000 });
    const alone = await post<ChatAnswer>(server, CHAT, request('a'));
    expect(alone).toMatchObject({ status: 200, body: { usage: { completion_tokens: 1000 } } });

    const letters = Array.from({ length: 40 }, (_, index) => String.fromCharCode(48 + index));
    const answers = await Promise.all(letters.map((letter) => post(server, CHAT, request(letter))));
    const failed = answers.filter((answer) => answer.status !== 200);
    expect(failed.length).toBeGreaterThanOrEqual(36);
    for (const answer of failed) expect(answer).toEqual({ status: 500, body: CONTEXT_EXCEEDED });
  }, 60_000);

  test('a stream that overflows ends in an error event and without [DONE]', async () => {
    const stream = async (letter: string) => {
      const body = JSON.stringify({
        ...user(letter.repeat(800)),
        max_tokens: 1900,
        stream: true,
      });
      const response = await fetch(`${server.url}${CHAT}`, { method: 'POST', body });
      return response.text();
    };
    const texts = await Promise.all(['a', 'b', 'c', 'd'].map(stream));
    for (const text of texts) {
      expect(text.endsWith(`data: ${JSON.stringify(CONTEXT_EXCEEDED)}\n\n`)).toBe(true);
    }
  });
});
