/**
 * A server that behaves like `python -m sglang.launch_server` v0.5.20 as far as
 * a proxy can tell. Sources are files below python/sglang/srt of SGLang's
 * repository. Its port opens when the schedulers are up, never before
 * (entrypoints/http_server.py, launch_server).
 */
import { readFileSync } from 'node:fs';
import {
  type Received,
  type ReplayServer,
  type Reply,
  type Script,
  startReplayServer,
} from './replay-server.ts';
import {
  answerOf,
  chatAnswer,
  DONE,
  errorBody,
  errorEvent,
  eventsOf,
  generation,
} from './sglang-answers.ts';
import { MODEL } from './shared-api-answers.ts';

export type SglangFace =
  | 'answers'
  /** Nothing is said until it is told to go on; a client that leaves is aborted. */
  | 'works'
  /** The same in v0.5.16 to v0.5.19, where who has left is worked for all the same (issue 36333). */
  | 'works on for who has left'
  /** openai/serving_chat.py and managers/tokenizer_manager.py. */
  | 'too long'
  /** managers/scheduler.py, _abort_on_queued_limit. */
  | 'busy'
  /** managers/schedule_batch.py, retract_decode: the pool is too small for the last request. */
  | 'pool ran over'
  | 'out of memory'
  /** A finish reason "abort" under HTTP 200. */
  | 'aborts'
  /** After two events: an error event, and `[DONE]` all the same (openai/serving_chat.py). */
  | 'fails in its stream';

export interface SglangOptions {
  readonly port?: number;
  readonly ranks?: number;
  /** Tokens of the pool of each rank. */
  readonly poolTokens?: number;
  readonly version?: string;
  /** Older versions have `/get_load` only. */
  readonly hasLoads?: boolean;
}

const TOO_LONG = "The input (5000 tokens) is longer than the model's context length (4096 tokens).";
const POOL_RAN_OVER =
  'Out of memory even after retracting all other requests in the decode batch. Aborting the last request.';
const CUDA = 'CUDA out of memory. Tried to allocate 2.00 GiB.';

const REFUSALS: Readonly<Partial<Record<SglangFace, readonly [number, string, string]>>> = {
  'too long': [400, TOO_LONG, 'BadRequestError'],
  busy: [503, 'The request queue is full.', 'ServiceUnavailableError'],
  'pool ran over': [500, POOL_RAN_OVER, 'InternalServerError'],
  'out of memory': [500, CUDA, 'InternalServerError'],
};

export function startSglang(options: SglangOptions = {}): Promise<ReplayServer<SglangFace>> {
  const script: Script<SglangFace> = {
    working: ['works', 'works on for who has left'],
    clinging: ['works on for who has left'],
    state: (route, _face, running) => stateReply(route, options, running),
    generate: (received, face) => generate(received, face),
  };
  return startReplayServer(script, 'answers', options.port ?? 0);
}

function stateReply(
  route: string,
  { ranks = 1, poolTokens = 64_000, version = '0.5.20', hasLoads = true }: SglangOptions,
  running: readonly Received[],
): Reply | null {
  const perRank = Array.from({ length: ranks }, (_, rank) => ({
    dp_rank: rank,
    count: running.filter(({ headers }) => rankOf(headers) === rank).length,
  }));
  switch (route) {
    // The root speaks to clients of Ollama.
    case 'GET /':
      return { status: 200, body: '"Ollama is running"' };
    case 'GET /v1/models':
      return ok({
        object: 'list',
        data: [
          { id: MODEL, object: 'model', owned_by: 'sglang', root: MODEL, max_model_len: 131_072 },
        ],
      });
    case 'GET /model_info':
    case 'GET /get_model_info':
      return ok({ model_path: MODEL, is_generation: true, has_image_understanding: false });
    case 'GET /server_info':
      return ok({ ...serverInfo(), version, dp_size: ranks, max_total_num_tokens: poolTokens });
    case 'GET /v1/loads?include=core,queues':
      return hasLoads
        ? ok({
            version,
            loads: perRank.map(({ dp_rank, count }) => load(dp_rank, count, poolTokens)),
          })
        : null;
    case 'GET /get_load':
      return ok(
        perRank.map(({ dp_rank, count }) => ({
          dp_rank,
          num_reqs: count,
          num_waiting_reqs: 0,
          num_tokens: count * 100,
        })),
      );
    // A generation in disguise: a proxy that asks for it makes the engine work.
    case 'GET /health':
    case 'GET /health_generate':
      return { status: 200, body: '' };
    case 'POST /tokenize':
      return ok({ tokens: [1, 2, 3], count: 3, max_model_len: 131_072 });
    default:
      return null;
  }
}

/** entrypoints/v1_loads.py; what the radix cache alone holds is no use. */
function load(rank: number, running: number, poolTokens: number): object {
  const used = running * 100;
  return {
    dp_rank: rank,
    num_running_reqs: running,
    num_waiting_reqs: 0,
    num_used_tokens: used,
    num_total_tokens: used,
    max_total_num_tokens: poolTokens,
    token_usage: Math.round((used / poolTokens) * 10_000) / 10_000,
    max_running_requests: 64,
    queues: { waiting: 0, grammar: 0, paused: 0, retracted: 0 },
  };
}

/** With its keys: canaries that must show nowhere. */
function serverInfo(): object {
  const url = new URL('../../fixtures/engines/sglang/server-info.json', import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8'));
}

/** openai/serving_base.py, extract_routed_dp_rank_from_header. */
function rankOf(headers: Received['headers']): number {
  return Number(headers['x-data-parallel-rank'] ?? 0);
}

function generate({ path, body }: Received, face: SglangFace): Reply | null {
  const answer = answerOf(path);
  if (answer === null) return null;
  const refusal = REFUSALS[face];
  if (refusal !== undefined) {
    const [status, message, type] = refusal;
    return { status, body: errorBody(path, message, type, status) };
  }
  const { stream, stream_options: asked } = body as {
    readonly stream?: boolean;
    readonly stream_options?: { readonly include_usage?: boolean };
  };
  if (stream === true) {
    const events = eventsOf(path, asked?.include_usage === true);
    if (face !== 'fails in its stream') return { status: 200, body: events };
    const error = errorEvent(path, POOL_RAN_OVER, 500);
    return { status: 200, body: [...events.slice(0, 2), error, DONE] };
  }
  if (face !== 'aborts') return ok(answer);
  const reason = { type: 'abort', message: 'Aborted by AbortReq.', status_code: null };
  return ok(path === '/generate' ? generation(1, reason) : chatAnswer('abort'));
}

function ok(value: unknown): Reply {
  return { status: 200, body: JSON.stringify(value) };
}
