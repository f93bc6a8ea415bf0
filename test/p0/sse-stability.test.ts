/** Streams: complete, in order, in whole events, and honest about their end. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { SSE_EVENTS, StreamFrames } from '../../proxy/http/stream-frames.ts';
import { eventually } from '../support/eventually.ts';
import { GuardedServers, leasesOf, samplesOf } from '../support/guarded-server.ts';
import { startRecordingRelay } from '../support/recording-relay.ts';
import { eventsOf, get, post } from '../support/simulated-http.ts';
import { startSplittingRelay } from '../support/splitting-relay.ts';

const servers = new GuardedServers();
const relays: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await servers.closeAll();
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
});

const PATH = '/v1/chat/completions';
const chat = (maxTokens: number) => ({
  messages: [{ role: 'user', content: 'Stream.' }],
  max_tokens: maxTokens,
  stream: true,
});

/** Opens a stream; resolves with the head of its answer. */
async function open(url: string, maxTokens: number, agent?: Agent): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json' };
  const sent = request(`${url}${PATH}`, { method: 'POST', headers, ...(agent && { agent }) });
  sent.on('error', () => {});
  sent.end(JSON.stringify(chat(maxTokens)));
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.on('error', () => {});
  return answer;
}

/** The chunks of a chunked body, as they were written; what precedes the body is skipped. */
function chunksOf(response: Buffer): string[] {
  const chunks: string[] = [];
  let at = response.indexOf('\r\n\r\n') + 4;
  for (;;) {
    const lineEnd = response.indexOf('\r\n', at);
    const size = Number.parseInt(response.toString('latin1', at, lineEnd), 16);
    if (!(size > 0)) return chunks;
    chunks.push(response.toString('utf8', lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

const SOCKET_CHANNELS = ['net.client.socket', 'net.server.socket'];

/** Sees every socket of this process from now on; `stop` gives the most listeners for one event. */
function watchSockets(): { stop(): number } {
  const sockets = new Set<EventEmitter>();
  const seen = (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('socket' in message)) return;
    if (message.socket instanceof EventEmitter) sockets.add(message.socket);
  };
  for (const channel of SOCKET_CHANNELS) subscribe(channel, seen);
  return {
    stop: () => {
      for (const channel of SOCKET_CHANNELS) unsubscribe(channel, seen);
      const counts = [...sockets].flatMap((socket) =>
        socket.eventNames().map((name) => socket.listenerCount(name)),
      );
      return Math.max(...counts);
    },
  };
}

describe('SSE stability', () => {
  test('a stream of 20,000 tokens arrives complete and in order', async () => {
    const { url, backendUrl } = await servers.start({ personality: 'dynamic', speed: 2_000 });
    const direct = await post(`${backendUrl}${PATH}`, chat(20_000));
    const guarded = await post(`${url}${PATH}`, chat(20_000));
    expect(guarded.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(guarded.text === direct.text).toBe(true);
    // Role, tokens, finish.
    expect(eventsOf(guarded.text)).toHaveLength(1 + 20_000 + 1);
  });

  test('events stay whole wherever the network splits them', async () => {
    const { url: backendUrl } = await servers.backend({ personality: 'paged' });
    const splitting = await startSplittingRelay(backendUrl);
    const gate = await servers.gate(
      { backend: [splitting.url], 'poll-interval-ms': 1_000 },
      backendUrl,
    );
    const recording = await startRecordingRelay(gate.url);
    relays.push(splitting, recording);
    const answer = await post(`${recording.url}${PATH}`, chat(24));
    const [connection] = recording.connections();
    const chunks = chunksOf(connection?.responseBytes ?? Buffer.alloc(0));
    expect(chunks.join('')).toBe(answer.text);
    expect(chunks.filter((chunk) => !chunk.endsWith('\n\n'))).toEqual([]);
    expect(eventsOf(answer.text).at(-1)).toBe('[DONE]');

    const bytes = Buffer.from(
      ': ping\n\ndata: ü\n\nevent: a\r\ndata: 1\r\ndata: 2\r\n\r\ndata: x\n\n',
    );
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const data: string[] = [];
        const frames = new StreamFrames(SSE_EVENTS, (text) => data.push(text) > 0);
        const cuts = [
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        ].map((part) => frames.push(part));
        expect(Buffer.concat(cuts).equals(bytes)).toBe(true);
        expect(data).toEqual(['ü', '1\n2', 'x']);
        const torn = cuts.filter((cut) => !/(^|\n\r?\n)$/.test(cut.toString('utf8')));
        expect(torn).toEqual([]);
      }
    }
  });

  test('a backend that breaks off is told in an error event, without [DONE], and the socket is cut', async () => {
    const { server, gate, url } = await servers.start({ personality: 'paged', speed: 10 });
    const answer = await open(url, 100_000);
    let text = '';
    answer.on('data', (bytes: Buffer) => {
      if (text === '') server.dropConnections();
      text += bytes.toString('utf8');
    });
    await new Promise((resolve) => answer.once('close', resolve));
    expect(answer.complete).toBe(false);
    expect(text).toMatch(/\n\n$/);
    expect(text).not.toContain('[DONE]');
    expect(eventsOf(text).at(-1)).toEqual({
      error: {
        message: expect.any(String),
        type: 'server_error',
        param: null,
        code: 'backend_failed',
      },
    });
    await eventually(() => expect(leasesOf(gate)).toBe(0));
  });

  test('50 streams at once, half of the clients leaving: no lease, no listener is left', async () => {
    const sockets = watchSockets();
    const { server, gate, url } = await servers.start({ personality: 'paged', speed: 20 });
    const stay = async () => {
      const { status, text } = await post(`${url}${PATH}`, chat(500));
      return status === 200 && text.endsWith('data: [DONE]\n\n');
    };
    const leave = async (_: unknown, index: number) => {
      const answer = await open(url, 100_000);
      answer.resume();
      await delay(index * 5);
      answer.destroy();
    };
    /** More streams one after another on one connection than an emitter takes listeners. */
    const stayConnected = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let count = 0; count < 15; count++) {
        const answer = await open(url, 10, agent);
        for await (const _ of answer);
      }
      agent.destroy();
    };
    const staying = Promise.all(Array.from({ length: 25 }, stay));
    await Promise.all(Array.from({ length: 25 }, leave));
    expect(await staying).toEqual(Array.from({ length: 25 }, () => true));
    await stayConnected();

    await eventually(async () => {
      expect(server.state()).toMatchObject({
        running: 0,
        waiting: 0,
        completed: 40,
        cancelled: 25,
      });
      expect(leasesOf(gate)).toBe(0);
      const stats = JSON.parse((await get(`${url}/stats`)).text);
      expect(stats).toMatchObject({ requests_in_flight: 0, queue_length: 0 });
    });
    const page = (await get(`${url}/metrics`)).text;
    expect(samplesOf(page, 'kvgate_streams_cancelled_total')).toEqual([
      { labels: '{by="client"}', value: 25 },
    ]);
    expect(samplesOf(page, 'kvgate_lease_double_end_total')).toEqual([{ labels: '', value: 0 }]);
    expect(sockets.stop()).toBeLessThanOrEqual(EventEmitter.defaultMaxListeners);
  });
});
