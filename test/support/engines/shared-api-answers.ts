/**
 * Bodies and events of the APIs that vLLM and SGLang both take over from OpenAI
 * and Anthropic. Sources: vLLM, openai/responses/api_router.py and
 * anthropic/serving.py; SGLang, openai/serving_responses.py and anthropic/serving.py.
 */

export const MODEL = 'openai/gpt-oss-20b';
/** The answer, in the pieces that a stream has it in. */
export const TEXT = ['Hello', ' there', '!'];

/** @param cachedTokens of the prompt */
export function responsesAnswer(cachedTokens: number): object {
  const content = [{ type: 'output_text', text: TEXT.join(''), annotations: [] }];
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_790_000_000,
    model: MODEL,
    status: 'completed',
    output: [{ id: 'msg_1', type: 'message', role: 'assistant', content }],
    usage: {
      input_tokens: 9,
      input_tokens_details: { cached_tokens: cachedTokens },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 12,
    },
  };
}

export function responsesEvents(cachedTokens: number): readonly string[] {
  const event = (type: string, rest: object) => `event: ${type}\n${sse({ type, ...rest })}`;
  return [
    event('response.created', { response: { id: 'resp_1', status: 'in_progress', usage: null } }),
    ...TEXT.map((delta) => event('response.output_text.delta', { item_id: 'msg_1', delta })),
    event('response.completed', { response: responsesAnswer(cachedTokens) }),
  ];
}

export function messagesAnswer(): object {
  return { ...messageHead(), content: [{ type: 'text', text: TEXT.join('') }] };
}

export function messagesEvents(): readonly string[] {
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

export function sse(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
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
