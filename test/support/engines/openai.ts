/**
 * A plain server of OpenAI's API, of which nothing else is known: models, chats,
 * completions, responses and embeddings in the form of openai-node's types.
 */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import {
  type ContractServer,
  type Exchange,
  member,
  respond,
  startContractServer,
} from './contract-server.ts';

/** How generation requests end from now on. */
export type OpenAiFace =
  | 'too long'
  | 'busy'
  | 'out of memory'
  | 'fails in its stream'
  | 'ends in its stream'
  /** Ends its streams without `[DONE]`, as some who speak the API do. */
  | 'sends no done';

const MODELS = readFileSync(
  new URL('../../fixtures/engines/openai/models.json', import.meta.url),
  'utf8',
);
const USAGE = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
const TEXT = ['Hello', ' there', '!'];
const HEAD = { id: 'chatcmpl-1', created: 1764000000, model: 'gpt-oss-20b' };
/** openai-node, resources/responses/responses.ts, Response. */
const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  created_at: 1764000000,
  model: 'gpt-oss-20b',
  status: 'completed',
  output: [
    {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'Hello there!', annotations: [] }],
    },
  ],
  usage: { input_tokens: 9, output_tokens: 3, total_tokens: 12 },
};

const REFUSALS: Readonly<Partial<Record<OpenAiFace, readonly [number, object]>>> = {
  'too long': [
    400,
    error("This model's maximum context length is 4096 tokens.", 'context_length_exceeded'),
  ],
  busy: [503, error('The server is overloaded.', null)],
  'out of memory': [500, error('CUDA out of memory. Tried to allocate 2.00 GiB.', null)],
};

const PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings'];

export function startOpenAi(port = 0): Promise<ContractServer<OpenAiFace>> {
  const state = ({ method, path, response }: Exchange): boolean => {
    if (method !== 'GET' || path !== '/v1/models') return false;
    respond(response, 200, MODELS);
    return true;
  };
  const generates = (path: string) => PATHS.includes(path);
  return startContractServer({ state, generates, generate, notFound: '{}' }, port);
}

function generate({ path, body, response }: Exchange, face: OpenAiFace | 'answers'): void {
  const refusal = face === 'answers' ? undefined : REFUSALS[face];
  if (refusal !== undefined) respond(response, ...refusal);
  else if (member(body, 'stream') === true) stream(path, response, face);
  else respond(response, 200, answer(path));
}

function error(message: string, code: string | null): object {
  return { error: { message, type: 'invalid_request_error', param: null, code } };
}

function answer(path: string): object {
  const text = TEXT.join('');
  const choice = { index: 0, finish_reason: 'stop', logprobs: null };
  switch (path) {
    case '/v1/chat/completions': {
      const message = { role: 'assistant', content: text };
      return {
        ...HEAD,
        object: 'chat.completion',
        choices: [{ ...choice, message }],
        usage: USAGE,
      };
    }
    case '/v1/completions':
      return { ...HEAD, object: 'text_completion', choices: [{ ...choice, text }], usage: USAGE };
    case '/v1/responses':
      return RESPONSE;
    default: {
      const data = [{ object: 'embedding', index: 0, embedding: [0.5, 0.25] }];
      return {
        object: 'list',
        data,
        model: 'gpt-oss-20b',
        usage: { prompt_tokens: 9, total_tokens: 9 },
      };
    }
  }
}

function stream(path: string, response: ServerResponse, face: OpenAiFace | 'answers'): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of path === '/v1/responses' ? responseEvents() : chunks(path, face)) {
    response.write(event);
  }
  response.end();
}

function chunks(path: string, face: OpenAiFace | 'answers'): readonly string[] {
  const isChat = path === '/v1/chat/completions';
  const chunk = (text: string, finish: string | null) => {
    const choice = isChat ? { delta: { content: text } } : { text };
    return `data: ${JSON.stringify({ ...HEAD, choices: [{ index: 0, ...choice, finish_reason: finish }] })}\n\n`;
  };
  const texts = TEXT.map((text) => chunk(text, null));
  if (face === 'ends in its stream') return texts;
  if (face === 'fails in its stream') {
    return [...texts, `data: ${JSON.stringify(error('engine failed', null))}\n\n`];
  }
  return [...texts, chunk('', 'stop'), ...(face === 'sends no done' ? [] : ['data: [DONE]\n\n'])];
}

function responseEvents(): readonly string[] {
  const event = (type: string, rest: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
  return [
    event('response.created', { response: { ...RESPONSE, status: 'in_progress', usage: null } }),
    ...TEXT.map((delta) => event('response.output_text.delta', { item_id: 'msg_1', delta })),
    event('response.completed', { response: RESPONSE }),
  ];
}
