/**
 * A server that behaves like text-generation-inference v3.3.7 as far as a proxy
 * can tell. Sources are files of its repository. The router listens only after
 * the model is warm (backends/v3/src/main.rs).
 */
import {
  type Received,
  type ReplayServer,
  type Reply,
  type Script,
  startReplayServer,
} from './replay-server.ts';

export type TgiFace =
  | 'answers'
  /** Nothing is said until it is told to go on; whoever leaves is dropped (queue.rs, batching_task). */
  | 'works'
  /** validation.rs, ValidationError::MaxTotalTokens. */
  | 'too long'
  /** validation.rs, any other of its errors. */
  | 'invalid'
  /** infer/mod.rs, the permits of --max-concurrent-requests. */
  | 'busy'
  /** infer/mod.rs, GenerationError: every request of the batch gets it. */
  | 'out of memory'
  | 'fails'
  /** After two events: an error event (server.rs; infer/mod.rs, into_openai_event). */
  | 'fails in its stream'
  /** server.rs, health: 503, as the shards do not answer. */
  | 'without shards';

export interface TgiOptions {
  readonly port?: number;
  readonly poolTokens?: number;
}

const MODEL = 'openai/gpt-oss-20b';
const TEXT = ['Hello', ' there', '!'];
const TOO_LONG =
  'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 9000 `inputs` tokens and 100 `max_new_tokens`';
const INVALID = 'Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 9';
const OOM =
  'Request failed during generation: Server error: CUDA out of memory. Tried to allocate 2.00 GiB';
const FAILED = 'Request failed during generation: Server error: unexpected shape';

/** server.rs, From<InferError> for (StatusCode, Json<ErrorResponse>). */
const REFUSALS: Readonly<Partial<Record<TgiFace, readonly [number, string, string]>>> = {
  'too long': [422, TOO_LONG, 'validation'],
  invalid: [422, INVALID, 'validation'],
  busy: [429, 'Model is overloaded', 'overloaded'],
  'out of memory': [424, OOM, 'generation'],
  fails: [424, FAILED, 'generation'],
};

export function startTgi(options: TgiOptions = {}): Promise<ReplayServer<TgiFace>> {
  const script: Script<TgiFace> = {
    working: ['works'],
    clinging: [],
    state: (route, face, running) => stateReply(route, face, running, options.poolTokens ?? 20_000),
    generate,
  };
  return startReplayServer(script, 'answers', options.port ?? 0);
}

function stateReply(
  route: string,
  face: TgiFace,
  running: readonly Received[],
  poolTokens: number,
): Reply | null {
  switch (route) {
    case 'GET /':
    case 'GET /ping':
    case 'GET /health':
      return face === 'without shards'
        ? { status: 503, body: '{"error":"unhealthy","error_type":"healthcheck"}' }
        : { status: 200, body: '' };
    case 'GET /info':
      return ok({
        model_id: MODEL,
        model_pipeline_tag: 'text-generation',
        max_concurrent_requests: 128,
        max_best_of: 2,
        max_input_tokens: 8191,
        max_total_tokens: 8192,
        router: 'text-generation-router',
        version: '3.3.7-dev0',
      });
    case 'GET /v1/models':
      return ok({ object: 'list', data: [{ id: MODEL, object: 'model', owned_by: MODEL }] });
    case 'GET /metrics':
      return { status: 200, body: metrics(running, poolTokens), type: 'text/plain' };
    case 'POST /tokenize':
      return ok([{ id: 1, text: 'hi', start: 0, stop: 2 }]);
    case 'POST /chat_tokenize':
      return ok({
        tokenize_response: [{ id: 1, text: 'hi', start: 0, stop: 2 }],
        templated_text: 'hi',
      });
    default:
      return null;
  }
}

/** backend.rs: what the batch has taken places for, its prompts and up to 1,024 tokens each. */
function metrics(running: readonly Received[], poolTokens: number): string {
  const gauges: readonly (readonly [string, number])[] = [
    ['tgi_request_count', 1],
    ['tgi_batch_max_total_tokens', poolTokens],
    ['tgi_batch_current_size', running.length],
    ['tgi_batch_current_max_tokens', running.length * (9 + 1024)],
    ['tgi_queue_size', 0],
  ];
  return gauges.map(([name, value]) => `# TYPE ${name} gauge\n${name} ${value}\n`).join('\n');
}

function generate({ path, body }: Received, face: TgiFace): Reply | null {
  const kind = KINDS[path];
  if (kind === undefined) return null;
  const isStream = path === '/generate_stream' || (path !== '/generate' && body.stream === true);
  const refusal = REFUSALS[face];
  if (refusal !== undefined) {
    const [status, error, errorType] = refusal;
    if (!isStream) return { status, body: JSON.stringify({ error, error_type: errorType }) };
    // The status is sent before the request is looked at.
    const event = errorEvent(kind, error, errorType);
    return { status: 200, body: kind === 'native' ? [event] : [event, DONE] };
  }
  if (!isStream) return ok(kind === 'native' ? nativeAnswer(path, body) : openAiAnswer(kind));
  const events = kind === 'native' ? nativeEvents(body) : openAiEvents(kind, body);
  if (face !== 'fails in its stream') return { status: 200, body: events };
  const event = errorEvent(kind, FAILED, 'generation');
  return {
    status: 200,
    body: [...events.slice(0, 2), event, ...(kind === 'native' ? [] : [DONE])],
  };
}

type Kind = 'native' | 'chat' | 'completion';

const KINDS: Readonly<Partial<Record<string, Kind>>> = {
  '/': 'native',
  '/generate': 'native',
  '/generate_stream': 'native',
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completion',
};

const DONE = 'data: [DONE]\n\n';
const USAGE = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };

/** On OpenAI's routes it says 422, whatever went wrong. */
function errorEvent(kind: Kind, error: string, errorType: string): string {
  return kind === 'native'
    ? sse({ error, error_type: errorType })
    : sse({ error: { message: error, http_status_code: 422 } });
}

function wantsDetails(body: Received['body']): boolean {
  return (body.parameters as { readonly details?: boolean } | undefined)?.details === true;
}

/** lib.rs, GenerateResponse; a list of one on `/` (server.rs, compat_generate). */
function nativeAnswer(path: string, body: Received['body']): unknown {
  const details = {
    finish_reason: 'length',
    generated_tokens: 3,
    seed: null,
    prefill: [],
    tokens: [],
  };
  const answer = {
    generated_text: TEXT.join(''),
    ...(wantsDetails(body) ? { details } : {}),
  };
  return path === '/' ? [answer] : answer;
}

/** lib.rs, StreamResponse. */
function nativeEvents(body: Received['body']): readonly string[] {
  const details = { finish_reason: 'length', generated_tokens: 3, seed: null, input_length: 9 };
  return TEXT.map((text, at) => {
    const isLast = at === TEXT.length - 1;
    return sse({
      index: at + 1,
      token: { id: at + 10, text, logprob: -0.5, special: false },
      generated_text: isLast ? TEXT.join('') : null,
      details: isLast && wantsDetails(body) ? details : null,
    });
  });
}

function head(object: string): object {
  return {
    object,
    id: '',
    created: 1_764_000_000,
    model: MODEL,
    system_fingerprint: '3.3.7-dev0-sha',
  };
}

function openAiAnswer(kind: Kind): object {
  const message = { role: 'assistant', content: TEXT.join('') };
  const finish = { index: 0, logprobs: null, finish_reason: 'stop' };
  return kind === 'chat'
    ? { ...head('chat.completion'), choices: [{ ...finish, message }], usage: USAGE }
    : { ...head('text_completion'), choices: [{ ...finish, text: TEXT.join('') }], usage: USAGE };
}

/** chat.rs, and the streams of a completion in server.rs, whose last event has its usage. */
function openAiEvents(kind: Kind, body: Received['body']): readonly string[] {
  const asked = body.stream_options as { readonly include_usage?: boolean } | undefined;
  const chunk = (text: string, finish: string | null, rest: object = {}) =>
    kind === 'chat'
      ? sse({
          ...head('chat.completion.chunk'),
          choices: [
            {
              index: 0,
              delta: { role: 'assistant', content: text },
              logprobs: null,
              finish_reason: finish,
            },
          ],
          usage: null,
        })
      : sse({
          ...head('text_completion'),
          choices: [{ index: 0, text, logprobs: null, finish_reason: finish ?? '' }],
          ...rest,
        });
  const last = TEXT.length - 1;
  return [
    ...TEXT.map((text, at) =>
      chunk(text, at === last ? 'stop' : null, at === last ? { usage: USAGE } : {}),
    ),
    ...(kind === 'chat' && asked?.include_usage === true
      ? [sse({ ...head('chat.completion.chunk'), choices: [], usage: USAGE })]
      : []),
    DONE,
  ];
}

function sse(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function ok(value: unknown): Reply {
  return { status: 200, body: JSON.stringify(value) };
}
