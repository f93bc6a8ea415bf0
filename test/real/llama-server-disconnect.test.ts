/** When a real llama-server lets go of a request whose client has left. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { CHAT, slotsOf, user } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';

describeReal('llama-server and a client that leaves', () => {
  /**
   * server_response::recv_with_timeout looks at the connection after a second
   * without any result, and every result for anyone, a poll of /slots too,
   * begins that second anew (llama.cpp tools/server/server-queue.cpp).
   */
  const SILENCE_MS = 2_500;

  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '131072', '-np', '2']);
  });
  afterAll(() => server.stop());

  const busySlots = async () => (await slotsOf(server)).filter((slot) => slot.is_processing).length;

  /** Leaves a request of 60,000 tokens once it is being worked on. */
  async function leaveRequest(stream: boolean): Promise<void> {
    const leaving = new AbortController();
    const answer = fetch(`${server.url}${CHAT}`, {
      method: 'POST',
      body: JSON.stringify({ ...user('hi'), max_tokens: 60_000, stream }),
      signal: leaving.signal,
    }).then((response) => response.text());
    await eventually(async () => expect(await busySlots()).toBe(1));
    leaving.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  }

  test('a stream’s slot is freed at once', async () => {
    await leaveRequest(true);
    await eventually(async () => expect(await busySlots()).toBe(0), 2_000);
  });

  test('another request’s slot is freed after a second in which nobody gets a result', async () => {
    await leaveRequest(false);
    await delay(SILENCE_MS);
    expect(await busySlots()).toBe(0);
  });

  test('and not while /slots is polled more often than that', async () => {
    await leaveRequest(false);
    const endMs = performance.now() + SILENCE_MS;
    while (performance.now() < endMs) {
      expect(await busySlots()).toBe(1);
      await delay(250);
    }
    await delay(SILENCE_MS);
    expect(await busySlots()).toBe(0);
  });
});
