/**
 * A server that behaves like `vllm serve` v0.33 as far as a proxy can tell: its
 * state routes, every generation route, its errors and ends. Sources are files
 * below `vllm/entrypoints/` of vLLM's repository unless another is named.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { MODEL } from './shared-api-answers.ts';
import { answerOf, endOf, errorBody, eventsOf } from './vllm-answers.ts';

/** How generation requests end from now on. */
export type Face =
  | 'answers'
  /** Nothing is said until it is told to go on: a request in flight. */
  | 'works'
  /** renderers/params.py. */
  | 'too long'
  /** `--max-num-queued-reqs`: exceptions.py, QueueOverflowError. */
  | 'busy'
  /** An error of one request, with CUDA's own words. */
  | 'out of memory'
  /** v1/engine/exceptions.py: what clients are told when the engine core is gone. */
  | 'dies'
  /** After two events: `create_streaming_error_response`, and `[DONE]` all the same. */
  | 'dies in its stream';

export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  /** The data-parallel engine it went to. */
  readonly rank: number;
}

export interface VllmServer {
  readonly url: string;
  readonly port: number;
  /** Generation requests, the whole of each. */
  readonly received: readonly Received[];
  /** Requests in the works, of all ranks. */
  running(): number;
  show(face: Face): void;
  /** `POST /sleep`: vllm:engine_sleep_state says so from then on. */
  sleep(asleep: boolean): void;
  stop(): Promise<void>;
}

export interface VllmOptions {
  readonly port?: number;
  readonly ranks?: number;
  /** Of each rank. */
  readonly blocks?: number;
}

const TOO_LONG =
  "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.";
const BUSY =
  'The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.';
const DEAD = 'The server had an error while processing your request.';
const CUDA = 'CUDA out of memory. Tried to allocate 2.00 GiB.';

const REFUSALS: Readonly<Partial<Record<Face, readonly [number, string]>>> = {
  'too long': [400, errorBody(TOO_LONG, 'BadRequestError', 400)],
  busy: [503, errorBody(BUSY, 'Service Unavailable', 503)],
  'out of memory': [500, errorBody(CUDA, 'InternalServerError', 500)],
  dies: [500, errorBody(DEAD, 'InternalServerError', 500)],
};

/** The port opens when the model is loaded, never before (launchers/api_server/entry.py). */
export async function startVllm(options: VllmOptions = {}): Promise<VllmServer> {
  const { ranks = 1, blocks = 1001 } = options;
  const received: Received[] = [];
  const working = new Map<ServerResponse, number>();
  const sockets = new Set<Socket>();
  let face: Face = 'answers';
  let asleep = false;
  let next = 0;

  const server = createServer(async (request, response) => {
    const { url: path = '', method = '' } = request;
    const state = stateAnswer(`${method} ${path}`, { ranks, blocks, asleep, face, working });
    if (state !== null) {
      response.writeHead(state[0], { server: 'uvicorn' }).end(state[1]);
      return;
    }
    const body = await bodyOf(request);
    const answer = method === 'POST' ? answerOf(path) : null;
    if (answer === null) {
      response.writeHead(404, JSON_TYPE).end('{"detail":"Not Found"}');
      return;
    }
    // generate/base/serving.py, _get_data_parallel_rank; else the least busy one.
    const asked = request.headers['x-data-parallel-rank'];
    const rank = asked === undefined ? next++ % ranks : Number(asked);
    received.push({ path, headers: request.headers, body, rank });
    working.set(response, rank);
    // serve/utils/api_utils.py, with_cancellation: a client that has left is seen, and aborted.
    response.once('close', () => working.delete(response));
    while (face === 'works' && !response.destroyed) await delay(2);
    if (!response.destroyed) generate(path, body, answer, response, face);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    received,
    running: () => working.size,
    show: (shown) => {
      face = shown;
    },
    sleep: (value) => {
      asleep = value;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const JSON_TYPE = { 'content-type': 'application/json', server: 'uvicorn' };

function generate(
  path: string,
  body: unknown,
  answer: object,
  response: ServerResponse,
  face: Face,
): void {
  const refusal = REFUSALS[face];
  if (refusal !== undefined) {
    response.writeHead(refusal[0], JSON_TYPE).end(refusal[1]);
    return;
  }
  const { stream, stream_options: options } = body as {
    readonly stream?: boolean;
    readonly stream_options?: { readonly include_usage?: boolean };
  };
  if (stream !== true) {
    response.writeHead(200, JSON_TYPE).end(JSON.stringify(answer));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const events = eventsOf(path, options?.include_usage === true);
  const failed = `data: ${errorBody(DEAD, 'InternalServerError', 500)}\n\n`;
  const sent = face === 'dies in its stream' ? [...events.slice(0, 2), failed] : events;
  for (const event of sent) response.write(event);
  response.end(endOf(path));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? null : JSON.parse(text);
}

interface State {
  readonly ranks: number;
  readonly blocks: number;
  readonly asleep: boolean;
  readonly face: Face;
  readonly working: ReadonlyMap<ServerResponse, number>;
}

function stateAnswer(route: string, state: State): readonly [number, string] | null {
  switch (route) {
    // serve/instrumentator/health.py: an empty body, 503 once the engine core is gone.
    case 'GET /health':
      return [state.face === 'dies' ? 503 : 200, ''];
    case 'GET /version':
      return [200, '{"version":"0.33.0"}'];
    case 'GET /metrics':
      return [200, metricsOf(state)];
    case 'GET /v1/models': {
      const data = [{ id: MODEL, object: 'model', root: MODEL, parent: null, max_model_len: 4096 }];
      return [200, JSON.stringify({ object: 'list', data })];
    }
    // serve/tokenize/api_router.py.
    case 'POST /tokenize':
      return [200, '{"count":9,"max_model_len":4096,"tokens":[1,2,3,4,5,6,7,8,9]}'];
    default:
      return null;
  }
}

/** vllm/v1/metrics/loggers.py; the blocks of all ranks as one sum, as core_client.py adds them up. */
function metricsOf({ ranks, blocks, asleep, working }: State): string {
  const lines = Array.from({ length: ranks }, (_, rank) => {
    const labels = `engine="${rank}",model_name="${MODEL}"`;
    const running = [...working.values()].filter((on) => on === rank).length;
    return [
      `vllm:num_requests_running{${labels}} ${running}.0`,
      `vllm:num_requests_waiting{${labels}} 0.0`,
      `vllm:engine_sleep_state{${labels},sleep_state="awake"} ${asleep ? '0.0' : '1.0'}`,
      `vllm:kv_cache_usage_perc{${labels}} ${running / blocks}`,
      `vllm:num_preemptions_total{${labels}} 0.0`,
      `vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="${rank}",num_gpu_blocks="${ranks * blocks}"} 1.0`,
    ];
  });
  return `${lines.flat().join('\n')}\n`;
}
