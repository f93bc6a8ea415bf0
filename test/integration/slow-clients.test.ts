/** A client that dawdles holds a connection or a buffer for a while, not for ever. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Exchanges } from '../../proxy/http/exchanges.ts';
import { dataServer, type GateParts } from '../../proxy/http/server.ts';
import { Tenants } from '../../proxy/http/tenants.ts';
import { Pools } from '../../proxy/state/pools.ts';
import { eventually } from '../support/eventually.ts';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';

describe('the listening server', () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  /** Nothing behind it, and a tenth of a second for what may take ten in earnest. */
  async function listening(): Promise<string> {
    const silent = () => {};
    const parts: GateParts = {
      pools: new Pools([]),
      tenants: new Tenants([]),
      exchanges: new Exchanges(),
      log: { debug: silent, info: silent, warn: silent, error: silent },
      generate: async () => {},
      operate: async (_path, message) => void message.resume(),
      pass: silent,
      upgrade: silent,
      passthroughRoutes: [],
    };
    const limits = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
    server = dataServer(parts, null, true, limits);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const dawdlers: [string, string][] = [
    ['its headers', 'GET /health HTTP/1.1\r\nHost: kvgate.test\r\nX-A: '],
    ['its body', rawPost('/explain', chat()).slice(0, -5)],
  ];
  test.each(dawdlers)('tells a client that dawdles over %s, and closes', async (_name, bytes) => {
    const raw = await connectRaw(await listening());
    raw.send(bytes);
    expect(await raw.rest).toMatch(/^HTTP\/1\.1 408 .*"code":"request_timeout"/s);
  });
});

describe('bodies that are being read', () => {
  let stub: GuardedStub;
  afterEach(() => stub.stop());

  test('share a buffer: beyond it comes 503, and room again when one has left', async () => {
    stub = await startGuardedStub({ 'max-body-mb': 0.1, 'max-buffered-mb': 0.1 });
    const long = chat({ user: 'x'.repeat(60_000) });
    const slow = await connectRaw(stub.url);
    slow.send(rawPost(CHAT, long).slice(0, -1));
    const post = () => stub.post(long);
    const refused = await eventually(async () => {
      const answer = await post();
      expect(answer.status).toBe(503);
      return answer;
    });
    expect(await refused.json()).toMatchObject({ error: { code: 'server_is_overloaded' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    slow.destroy();
    await eventually(async () => expect((await post()).status).toBe(200));
  });
});
