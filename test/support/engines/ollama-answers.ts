/**
 * What Ollama answers, to the byte where a client would notice. Sources are
 * files of ollama/ollama at fb30760.
 */
import type { ServerResponse } from 'node:http';
import { member } from './contract-server.ts';

/** How generation requests end from now on. */
export type OllamaFace =
  /** server/sched.go, ErrMaxQueue, two spaces and all. */
  | 'busy'
  /** llm/llama_server.go, completionPromptForRequest. */
  | 'too long'
  /** llm/llama_server.go: the model's process is gone; with CUDA's last words, where it had some. */
  | 'dies'
  | 'out of memory'
  /** After two tokens: server/routes.go, streamResponse. */
  | 'fails in its stream'
  /** llm/llama_server.go: a token that repeats 30 times ends a stream without its last line. */
  | 'ends in its stream';

const STOPPED =
  'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details';

export const REFUSALS: Readonly<Partial<Record<OllamaFace, readonly [number, string]>>> = {
  busy: [503, 'server busy, please try again.  maximum pending requests exceeded'],
  'too long': [
    400,
    'the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the context length in settings, or use a model with a longer context length',
  ],
  dies: [500, STOPPED],
  'out of memory': [500, `${STOPPED}: CUDA error: out of memory`],
};

/** openai/openai.go, NewError; anthropic/anthropic.go, NewError. */
export function errorOf(path: string, status: number, message: string): object {
  if (path === '/v1/messages') return { type: 'error', error: { type: 'api_error', message } };
  if (path.startsWith('/v1/')) {
    const type = status === 400 ? 'invalid_request_error' : 'api_error';
    return { error: { message, type, param: null, code: null } };
  }
  return { error: message };
}

const HEAD = { model: 'gpt-oss', created_at: '2026-11-24T12:00:00.000000000Z' };
/** api/types.go, Metrics; durations in nanoseconds. */
const METRICS = {
  total_duration: 400_000_000,
  load_duration: 50_000_000,
  prompt_eval_count: 68,
  prompt_eval_duration: 100_000_000,
  eval_count: 3,
  eval_duration: 200_000_000,
};
const TEXT = ['Hello', ' there', '!'];
const USAGE = { prompt_tokens: 68, completion_tokens: 3, total_tokens: 71 };
const OPENAI = {
  id: 'chatcmpl-1',
  created: 1764000000,
  model: 'gpt-oss',
  system_fingerprint: 'fp_ollama',
};

/** The whole answer of each generation route. */
export function answerOf(path: string): object {
  const content = TEXT.join('');
  const choice = { index: 0, finish_reason: 'stop' };
  switch (path) {
    case '/api/chat':
      return {
        ...HEAD,
        message: { role: 'assistant', content },
        done: true,
        done_reason: 'stop',
        ...METRICS,
      };
    case '/api/generate':
      return {
        ...HEAD,
        response: content,
        done: true,
        done_reason: 'stop',
        context: [1, 2],
        ...METRICS,
      };
    case '/api/embed':
      return {
        model: 'gpt-oss',
        embeddings: [[0.5]],
        total_duration: 1,
        load_duration: 1,
        prompt_eval_count: 2,
      };
    case '/api/embeddings':
      return { embedding: [0.5] };
    case '/v1/embeddings':
      return {
        object: 'list',
        data: [{ object: 'embedding', embedding: [0.5], index: 0 }],
        model: 'gpt-oss',
        usage: { prompt_tokens: 2, total_tokens: 2 },
      };
    case '/v1/completions':
      return {
        ...OPENAI,
        object: 'text_completion',
        choices: [{ ...choice, text: content }],
        usage: USAGE,
      };
    case '/v1/responses':
      return response('completed');
    case '/v1/messages':
      return {
        ...anthropicMessage(),
        content: [{ type: 'text', text: content }],
        stop_reason: 'end_turn',
      };
    default: {
      const message = { role: 'assistant', content };
      return {
        ...OPENAI,
        object: 'chat.completion',
        choices: [{ ...choice, message }],
        usage: USAGE,
      };
    }
  }
}

export function streamOf(
  path: string,
  body: unknown,
  response: ServerResponse,
  face: OllamaFace | 'answers',
): void {
  const isOwn = path.startsWith('/api/');
  response.writeHead(200, {
    'content-type': isOwn ? 'application/x-ndjson' : 'text/event-stream',
  });
  const wantsUsage = member(member(body, 'stream_options'), 'include_usage') === true;
  const parts = isOwn ? lines(path) : sse(path, wantsUsage);
  const kept = face === 'answers' ? parts : parts.slice(0, 2);
  for (const part of kept) response.write(part);
  if (face === 'fails in its stream') response.write(failure(path));
  response.end();
}

function lines(path: string): readonly string[] {
  const text = (content: string) =>
    path === '/api/chat' ? { message: { role: 'assistant', content } } : { response: content };
  const line = (value: object) => `${JSON.stringify({ ...HEAD, ...value })}\n`;
  return [
    ...TEXT.map((content) => line({ ...text(content), done: false })),
    line({ ...text(''), done: true, done_reason: 'stop', ...METRICS }),
  ];
}

/** middleware/openai.go: the line of an error is read as an empty answer, and nothing follows. */
function failure(path: string): string {
  if (path.startsWith('/api/')) return `${JSON.stringify({ error: STOPPED })}\n`;
  const delta = { role: 'assistant', content: '' };
  return data({ ...OPENAI, choices: [{ index: 0, delta, finish_reason: null }] });
}

function sse(path: string, wantsUsage: boolean): readonly string[] {
  if (path === '/v1/responses') return responseEvents();
  if (path === '/v1/messages') return messageEvents();
  const isChat = path === '/v1/chat/completions';
  const chunk = (text: string, finish: string | null) => {
    const choice = isChat ? { delta: { role: 'assistant', content: text } } : { text };
    // middleware/openai.go, CompleteWriter: zeros in every chunk where usage is asked for.
    const usage =
      wantsUsage && !isChat
        ? { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } }
        : {};
    return data({ ...OPENAI, choices: [{ index: 0, ...choice, finish_reason: finish }], ...usage });
  };
  return [
    ...TEXT.map((text) => chunk(text, null)),
    chunk('', 'stop'),
    ...(wantsUsage ? [data({ ...OPENAI, choices: [], usage: USAGE })] : []),
    'data: [DONE]\n\n',
  ];
}

function data(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function event(type: string, rest: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
}

/** openai/responses.go. */
function response(status: string): object {
  const content = [{ type: 'output_text', text: TEXT.join(''), annotations: [], logprobs: [] }];
  const isDone = status === 'completed';
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1764000000,
    status,
    model: 'gpt-oss',
    output: isDone ? [{ id: 'msg_1', type: 'message', status, role: 'assistant', content }] : [],
    usage: isDone ? { input_tokens: 68, output_tokens: 3, total_tokens: 71 } : null,
  };
}

function responseEvents(): readonly string[] {
  return [
    event('response.created', { sequence_number: 0, response: response('in_progress') }),
    ...TEXT.map((delta) => event('response.output_text.delta', { item_id: 'msg_1', delta })),
    event('response.completed', { response: response('completed') }),
  ];
}

/** anthropic/anthropic.go. */
function anthropicMessage(): object {
  const usage = { input_tokens: 68, output_tokens: 3 };
  return { id: 'msg_1', type: 'message', role: 'assistant', model: 'gpt-oss', content: [], usage };
}

function messageEvents(): readonly string[] {
  const delta = (text: string) =>
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
  return [
    event('message_start', { message: anthropicMessage() }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...TEXT.map(delta),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } }),
    event('message_stop', {}),
  ];
}
