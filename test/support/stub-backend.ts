/**
 * A backend that looks like llama-server to a probe and answers generation
 * requests by script, to the byte. It keeps what it was sent.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A request as the backend got it; a generation or a passed one, never a probe of its state. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** What has arrived of the body so far. */
  readonly body: () => Buffer;
}

export interface StubExchange {
  readonly received: Received;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

/** Called once the request is whole. */
export type Script = (exchange: StubExchange) => void;

export type UpgradeScript = (message: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface StubOptions {
  readonly slots?: number;
  /** Of one slot, or of the whole pool where the gate is told that it is unified. */
  readonly contextTokens?: number;
  /** Whether what was sent can be looked at later. */
  readonly keepsBodies?: boolean;
}

export interface StubBackend {
  readonly url: string;
  readonly received: readonly Received[];
  /** Requests whose connection is open and whose answer is not over. */
  open(): number;
  answerWith(script: Script): void;
  /** From now on, a client may ask for another protocol; else such a request is one like any other. */
  upgradeWith(take: UpgradeScript): void;
  /** While true, every state endpoint answers "loading". */
  loading(isLoading: boolean): void;
  /** Connections are refused from now on, and those that are open are cut. */
  stop(): Promise<void>;
}

export async function startStubBackend(options: StubOptions = {}): Promise<StubBackend> {
  const { slots = 4, contextTokens = 8192, keepsBodies = true } = options;
  const received: Received[] = [];
  const live = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  let script: Script = answerJson(200, ANSWER);
  let isLoading = false;

  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers, socket } = request;
    const state = stateAnswer(method, url, live.size, slots, contextTokens);
    if (state !== null) {
      const [status, value] = isLoading ? LOADING : ([200, state] as const);
      response.writeHead(status, { server: 'llama.cpp', 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
      return;
    }
    const chunks: Buffer[] = [];
    const record = { method, url, headers, body: () => Buffer.concat(chunks) };
    received.push(record);
    live.add(response);
    response.once('close', () => live.delete(response));
    request.on('data', (chunk: Buffer) => void (keepsBodies && chunks.push(chunk)));
    request.once('end', () => script({ received: record, response, socket }));
    // A request that is never whole is recorded, and not answered.
    request.on('error', () => {});
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    open: () => live.size,
    answerWith: (next) => {
      script = next;
    },
    upgradeWith: (take) => {
      server.removeAllListeners('upgrade').on('upgrade', take);
    },
    loading: (value) => {
      isLoading = value;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const LOADING = [
  503,
  { error: { message: 'Loading model', type: 'unavailable_error', code: 503 } },
] as const;

function stateAnswer(
  method: string,
  url: string,
  running: number,
  slots: number,
  contextTokens: number,
): unknown {
  switch (`${method} ${url}`) {
    case 'GET /health':
      return { status: 'ok' };
    case 'GET /props':
      return {
        total_slots: slots,
        model_alias: 'gpt-oss-20b',
        default_generation_settings: { n_ctx: contextTokens },
      };
    case 'GET /slots':
      return Array.from({ length: slots }, (_, id) => ({ id, is_processing: id < running }));
    case 'GET /v1/models':
      return { data: [{ id: 'gpt-oss-20b' }] };
    case 'POST /v1/chat/completions/input_tokens':
      return {};
    default:
      return null;
  }
}

/** An answer whose spelling a JSON library would not keep. */
export const ANSWER =
  '{ "id":"c1",\n "object":"chat.completion", "seed":18446744073709551615, "score":1.0,' +
  ' "choices":[{"index":0,"message":{"role":"assistant","content":"h\\u00e9 \u00e9\u4e16"},"finish_reason":"stop"}],' +
  ' "usage":{"prompt_tokens":70,"completion_tokens":2,"total_tokens":72} }\n';

/** Events with comments, CRLF, several data lines and multi-byte text. */
export const EVENTS: readonly string[] = [
  ': keep-alive\n\n',
  'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n',
  'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"h\u00e9"}}]}\r\n\r\n',
  'event: message\ndata: {"id":"c1","choices":[{"index":0,\ndata: "delta":{"content":"\u4e16"}}]}\n\n',
  'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
  'data: [DONE]\n\n',
];
export const STREAM = EVENTS.join('');

export function answerJson(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Script {
  return ({ response }) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(text);
  };
}

/** A stream that ends regularly, in HTTP chunks of so many bytes. */
export function answerStream(text: string, chunkBytes: number = text.length): Script {
  return ({ response }) => {
    const bytes = Buffer.from(text);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      response.write(bytes.subarray(at, at + chunkBytes));
    }
    response.end();
  };
}

/** The beginning of a stream; the rest is up to `then`. */
export function beginStream(text: string, then: (exchange: StubExchange) => void): Script {
  return (exchange) => {
    exchange.response.writeHead(200, { 'content-type': 'text/event-stream' });
    exchange.response.write(text, () => then(exchange));
  };
}

/** Bytes of one's own making on the connection, then a regular close of it. */
export function answerRaw(bytes: string): Script {
  return ({ socket }) => {
    socket.end(bytes);
  };
}
