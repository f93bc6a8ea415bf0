/**
 * What SGLang v0.5.20 answers. Sources are files below python/sglang/srt/entrypoints
 * of its repository unless another is named.
 */
import {
  MODEL,
  messagesAnswer,
  messagesEvents,
  responsesAnswer,
  responsesEvents,
  sse,
  TEXT,
} from './shared-api-answers.ts';

/** openai/protocol.py, UsageInfo. */
const USAGE = {
  prompt_tokens: 9,
  total_tokens: 12,
  completion_tokens: 3,
  prompt_tokens_details: null,
  reasoning_tokens: 0,
};

/** Flat on OpenAI's routes (openai/protocol.py, ErrorResponse); nested on the others (http_server.py). */
export function errorBody(path: string, message: string, type: string, code: number): string {
  if (path === '/v1/responses') {
    return JSON.stringify({ error: { message, type, param: null, code } });
  }
  if (!path.startsWith('/v1/')) return JSON.stringify({ error: { message } });
  return JSON.stringify({ object: 'error', message, type, param: null, code });
}

/** openai/serving_base.py, create_streaming_error_response: an event under HTTP 200. */
export function errorEvent(path: string, message: string, code: number): string {
  return path === '/generate'
    ? sse({ error: { message } })
    : sse({ error: { object: 'error', message, type: 'InternalServerError', param: null, code } });
}

/** The whole answer of each generation route; null for a route that SGLang does not have. */
export function answerOf(path: string): unknown {
  switch (path) {
    case '/v1/chat/completions':
      return chatAnswer('stop');
    case '/v1/completions':
      return { ...head('text_completion'), choices: [textChoice(TEXT.join(''))], usage: USAGE };
    case '/v1/responses':
      return responsesAnswer(4);
    case '/v1/messages':
      return messagesAnswer();
    case '/generate':
      return generation(TEXT.length, { type: 'stop', matched: 200_002 });
    // openai/protocol.py, EmbeddingResponse and ClassifyResponse.
    case '/v1/embeddings':
    case '/v1/classify':
      return { object: 'list', model: MODEL, data: [{ index: 0, embedding: [0.1] }], usage: USAGE };
    // http_server.py, encode_request: what the detokenizer hands out.
    case '/encode':
    case '/classify':
      return {
        embedding: [0.1, 0.2],
        meta_info: { id: '1', finish_reason: null, prompt_tokens: 9 },
      };
    case '/v1/rerank':
      return [{ score: 0.5, document: 'ho', index: 0, meta_info: { prompt_tokens: 9 } }];
    case '/v1/score':
      return { scores: [[0.5]], model: MODEL, usage: USAGE, object: 'scoring' };
    default:
      return null;
  }
}

/** openai/protocol.py: "abort" is among the finish reasons. */
export function chatAnswer(finish: string): object {
  const message = { role: 'assistant', content: TEXT.join(''), reasoning_content: null };
  return {
    ...head('chat.completion'),
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish, matched_stop: null }],
    usage: USAGE,
    metadata: { weight_version: 'default' },
  };
}

/** managers/tokenizer_manager.py: all of the text and the tokens so far. */
export function generation(tokens: number, finish: object | null): object {
  return {
    text: TEXT.slice(0, tokens).join(''),
    meta_info: {
      id: 'a3f1',
      finish_reason: finish,
      prompt_tokens: 9,
      completion_tokens: tokens,
      cached_tokens: 4,
      weight_version: 'default',
    },
  };
}

/**
 * The events of a stream, its end included.
 * @param usage whether `stream_options.include_usage` was set (openai/serving_chat.py)
 */
export function eventsOf(path: string, usage: boolean): readonly string[] {
  if (path === '/v1/responses') return responsesEvents(4);
  if (path === '/v1/messages') return messagesEvents();
  if (path === '/generate') {
    const last = generation(TEXT.length, { type: 'stop', matched: 200_002 });
    return [...TEXT.slice(1).map((_, at) => sse(generation(at + 1, null))), sse(last), DONE];
  }
  const isChat = path === '/v1/chat/completions';
  const object = isChat ? 'chat.completion.chunk' : 'text_completion';
  const chunk = (choices: readonly object[], told: object | null = null) =>
    sse({ ...head(object), choices, usage: told });
  const choice = (delta: object, text: string, finish: string | null) =>
    isChat
      ? { index: 0, delta, logprobs: null, finish_reason: finish, matched_stop: null }
      : { ...textChoice(text), finish_reason: finish };
  return [
    ...(isChat ? [chunk([choice({ role: 'assistant', content: '' }, '', null)])] : []),
    ...TEXT.map((content) => chunk([choice({ content }, content, null)])),
    chunk([choice({}, '', 'stop')]),
    ...(usage ? [chunk([], USAGE)] : []),
    DONE,
  ];
}

export const DONE = 'data: [DONE]\n\n';

function head(object: string): object {
  return { id: '8d1c0f', object, created: 1_790_000_000, model: MODEL };
}

function textChoice(text: string): object {
  return { index: 0, text, logprobs: null, finish_reason: 'stop', matched_stop: null };
}
