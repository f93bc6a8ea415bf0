/** Requests beyond what fits wait their turn, or are told truly when to come back. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { SimulatedOptions } from '../../backend-adapters/simulated-server/server.ts';
import { GuardedServers } from '../support/guarded-server.ts';
import { chat } from '../support/guarded-stub.ts';
import { type Answer, post } from '../support/simulated-http.ts';

const servers = new GuardedServers();
afterEach(() => servers.closeAll());

const ONE_SLOT: SimulatedOptions = { personality: 'slots', slots: 1, contextTokens: 8192 };

function ask(url: string, count: number, maxTokens: number): Promise<Answer[]> {
  const body = chat({ max_tokens: maxTokens });
  return Promise.all(Array.from({ length: count }, () => post(`${url}/v1/chat/completions`, body)));
}

function statusesOf(answers: readonly Answer[]): number[] {
  return answers.map(({ status }) => status).sort();
}

describe('three requests for one slot', () => {
  test('are all served, one after the other', async () => {
    const { url, server, gate } = await servers.start({ ...ONE_SLOT, speed: 4 });
    const answers = await ask(url, 3, 100);
    expect(statusesOf(answers)).toEqual([200, 200, 200]);
    expect(server.state()).toMatchObject({ completed: 3, maxRunning: 1 });
    const waited = answers.filter(({ headers }) => headers.has('x-kvgate-queued-ms'));
    expect(waited).toHaveLength(2);
    expect(gate.leases()).toBe(0);
  });

  test('the queue has a deadline, and says when to come back', async () => {
    const { url, server } = await servers.start(
      { ...ONE_SLOT, speed: 1 },
      { 'queue-timeout': 0.3 },
    );
    const answers = await ask(url, 3, 150);
    expect(statusesOf(answers)).toEqual([200, 429, 429]);
    for (const { headers, text } of answers.filter(({ status }) => status === 429)) {
      expect(JSON.parse(text).error).toMatchObject({ type: 'rate_limit_error', code: 'slow_down' });
      const seconds = Number(headers.get('retry-after'));
      expect(seconds).toBeGreaterThanOrEqual(1);
      expect(seconds).toBeLessThanOrEqual(30);
      expect(Number(headers.get('retry-after-ms'))).toBeLessThanOrEqual(seconds * 1000);
      expect(headers.has('x-should-retry')).toBe(false);
      expect(headers.get('x-kvgate-reason')).toBe('queue_deadline');
    }
    expect(server.state()).toMatchObject({ received: 1 });
  });

  test.each([
    [0, [200, 429, 429]],
    [1, [200, 200, 429]],
  ])('a queue of %d turns the rest away at once', async (queueMax, statuses) => {
    const { url, server } = await servers.start(
      { ...ONE_SLOT, speed: 4 },
      { 'queue-max': queueMax },
    );
    const answers = await ask(url, 3, 200);
    expect(statusesOf(answers)).toEqual(statuses);
    const refused = answers.find(({ status }) => status === 429);
    expect(JSON.parse(refused?.text ?? '').error.code).toBe('queue_full');
    expect(server.state()).toMatchObject({
      received: statuses.length - statuses.filter((s) => s === 429).length,
    });
  });
});
