/**
 * What vLLM v0.33 answers, to the byte where a client would notice. Sources are
 * files below `vllm/entrypoints/` of its repository unless another is named.
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

const ID = 'chatcmpl-0a1b2c3d';
/** openai/engine/protocol.py, UsageInfo. */
const USAGE = {
  prompt_tokens: 9,
  total_tokens: 12,
  completion_tokens: 3,
  prompt_tokens_details: null,
};
const POOLING_USAGE = { ...USAGE, total_tokens: 9, completion_tokens: 0 };

/** serve/engine/protocol.py, ErrorResponse. */
export function errorBody(message: string, type: string, code: number): string {
  return JSON.stringify({ error: { message, type, param: null, code } });
}

/** The whole answer of each generation route; null for a route that vLLM does not have. */
export function answerOf(path: string): object | null {
  switch (path) {
    case '/v1/chat/completions':
      return chatAnswer();
    case '/v1/completions':
      return { ...head('text_completion'), choices: [textChoice(TEXT.join(''))], usage: USAGE };
    case '/v1/responses':
      return responsesAnswer(0);
    // anthropic/protocol.py, AnthropicMessagesResponse.
    case '/v1/messages':
      return messagesAnswer();
    // pooling/embed/protocol.py and its neighbours.
    case '/v1/embeddings':
    case '/pooling':
    case '/classify':
    case '/score':
    case '/v1/score':
      return { ...head('list'), data: [{ index: 0, score: 0.5 }], usage: POOLING_USAGE };
    case '/rerank':
    case '/v1/rerank':
    case '/v2/rerank':
      return {
        id: 'rerank-1',
        model: MODEL,
        usage: { prompt_tokens: 9, total_tokens: 9 },
        results: [{ index: 0, document: { text: 'a' }, relevance_score: 0.5 }],
      };
    default:
      return null;
  }
}

/**
 * The events of a stream, without what ends it.
 * @param usage whether `stream_options.include_usage` was set: one chunk more,
 *   without choices (openai/chat_completion/serving.py)
 */
export function eventsOf(path: string, usage: boolean): readonly string[] {
  if (path === '/v1/responses') return responsesEvents(0);
  if (path === '/v1/messages') return messagesEvents();
  const isChat = path === '/v1/chat/completions';
  const object = isChat ? 'chat.completion.chunk' : 'text_completion';
  const chunk = (choices: readonly object[], rest: object = {}) =>
    sse({ ...head(object), choices, ...rest });
  const choice = (delta: object, text: string, finish: string | null) =>
    isChat
      ? { index: 0, delta, logprobs: null, finish_reason: finish }
      : { ...textChoice(text), finish_reason: finish };
  return [
    ...(isChat ? [chunk([choice({ role: 'assistant', content: '' }, '', null)])] : []),
    ...TEXT.map((content) => chunk([choice({ content }, content, null)])),
    chunk([choice({}, '', 'stop')]),
    ...(usage ? [chunk([], { usage: USAGE })] : []),
  ];
}

/** Only OpenAI's two streams end so, and so do they where they failed. */
export function endOf(path: string): string {
  return path === '/v1/responses' || path === '/v1/messages' ? '' : 'data: [DONE]\n\n';
}

function head(object: string): object {
  return { id: ID, object, created: 1_764_000_000, model: MODEL };
}

function chatAnswer(): object {
  const message = {
    role: 'assistant',
    content: TEXT.join(''),
    refusal: null,
    annotations: null,
    audio: null,
    function_call: null,
    tool_calls: [],
    reasoning: null,
  };
  return {
    ...head('chat.completion'),
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop', stop_reason: null }],
    service_tier: null,
    system_fingerprint: null,
    usage: USAGE,
    prompt_logprobs: null,
    kv_transfer_params: null,
  };
}

function textChoice(text: string): object {
  return { index: 0, text, logprobs: null, finish_reason: 'stop', stop_reason: null };
}
