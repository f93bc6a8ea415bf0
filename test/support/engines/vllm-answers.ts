/**
 * What vLLM v0.33 answers, to the byte where a client would notice. Sources are
 * files below `vllm/entrypoints/` of its repository unless another is named.
 */

export const MODEL = 'openai/gpt-oss-20b';
const ID = 'chatcmpl-0a1b2c3d';
const TEXT = ['Hello', ' there', '!'];
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
      return responsesAnswer('completed');
    // anthropic/protocol.py, AnthropicMessagesResponse.
    case '/v1/messages':
      return { ...messageHead(), content: [{ type: 'text', text: TEXT.join('') }] };
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
  if (path === '/v1/responses') return responsesEvents();
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

/** openai/responses/protocol.py, ResponsesResponse. */
function responsesAnswer(status: string): object {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_764_000_000,
    model: MODEL,
    status,
    output: [
      {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        content: [{ type: 'output_text', text: TEXT.join(''), annotations: [] }],
      },
    ],
    usage: {
      input_tokens: 9,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 12,
    },
  };
}

/** openai/responses/api_router.py, _convert_stream_to_sse_events. */
function responsesEvents(): readonly string[] {
  const event = (type: string, rest: object) => `event: ${type}\n${sse({ type, ...rest })}`;
  return [
    event('response.created', { response: { id: 'resp_1', status: 'in_progress', usage: null } }),
    ...TEXT.map((delta) => event('response.output_text.delta', { item_id: 'msg_1', delta })),
    event('response.completed', { response: responsesAnswer('completed') }),
  ];
}

function messageHead(): object {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    content: [],
    model: MODEL,
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 9, output_tokens: 3 },
  };
}

function messagesEvents(): readonly string[] {
  const event = (type: string, rest: object) => `event: ${type}\n${sse({ type, ...rest })}`;
  const usage = { input_tokens: 9, output_tokens: 0 };
  return [
    event('message_start', { message: { ...messageHead(), stop_reason: null, usage } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...TEXT.map((text) =>
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
    ),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } }),
    event('message_stop', {}),
  ];
}

function sse(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
