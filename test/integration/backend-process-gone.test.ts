/** A backend that dies takes with it what its requests held: nothing of it stays reserved. */
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { GuardedServers, leasesOf } from '../support/guarded-server.ts';
import { CHAT, chat } from '../support/guarded-stub.ts';

const servers = new GuardedServers();
afterEach(() => servers.closeAll());

test('a lease whose client has left ends when its backend refuses connections', async () => {
  // An engine of this kind tells of no sequences, so only its end can confirm anything.
  const { server, gate, url } = await servers.start({ personality: 'dynamic', speed: 1 });
  const leaving = new AbortController();
  const answer = await fetch(url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: chat({ stream: true, max_tokens: 4_000 }),
    signal: leaving.signal,
  });
  expect(answer.status).toBe(200);
  await answer.body?.getReader().read();
  leaving.abort();
  expect(leasesOf(gate)).toBe(1);

  await server.close();
  await eventually(() => expect(leasesOf(gate)).toBe(0), 3_000);
  expect(gate.gate.overview.instances()).toMatchObject([
    { health: { state: 'unreachable', processGone: true } },
  ]);
});
