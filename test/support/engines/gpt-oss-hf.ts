/**
 * A server that behaves like gpt-oss-hf-server v4.8.0 as far as a proxy can
 * tell. Sources are functions of src/server.py in victor0777/gpt-oss-hf-server.
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
export type GptOssHfFace =
  /** chat_completion: ten are active. */
  | 'busy'
  /** chat_completion: `generate` reports the error, and the handler drops it. */
  | 'out of memory'
  /** _stream_generate: after a token. */
  | 'fails in its stream'
  /** generate_stream, after POST /cancel: it just ends. */
  | 'ends in its stream';

export interface GptOssHfOptions {
  readonly port?: number;
  /** Its model failed to load: it is up, and "healthy". */
  readonly withoutModel?: boolean;
}

const HEALTH = readFileSync(
  new URL('../../fixtures/engines/gpt-oss-hf/health.json', import.meta.url),
  'utf8',
);
const HEALTH_WITHOUT_MODEL = readFileSync(
  new URL('../../fixtures/engines/gpt-oss-hf/health-no-model.json', import.meta.url),
  'utf8',
);

const ID = '3f0c5a52-6f1e-4f6e-9d9e-0a1b2c3d4e5f';
const CUDA = 'CUDA out of memory. Tried to allocate 2.00 GiB.';

/** The port opens when the model is loaded, or has failed to load (lifespan). */
export function startGptOssHf(
  options: GptOssHfOptions = {},
): Promise<ContractServer<GptOssHfFace>> {
  const { port = 0, withoutModel = false } = options;
  const state = ({ method, path, response }: Exchange, running: number): boolean => {
    if (method !== 'GET' || path !== '/health') return false;
    const health = JSON.parse(withoutModel ? HEALTH_WITHOUT_MODEL : HEALTH);
    health.stats.active_requests = running;
    respond(response, 200, health);
    return true;
  };
  const generates = (path: string) => path === '/v1/chat/completions';
  return startContractServer(
    { state, generates, generate, notFound: '{"detail":"Not Found"}' },
    port,
  );
}

function generate({ body, response }: Exchange, face: GptOssHfFace | 'answers'): void {
  if (face === 'busy') {
    respond(response, 503, { detail: 'Server overloaded. Please retry later.' });
  } else if (
    typeof member(body, 'max_tokens') !== 'number' &&
    member(body, 'max_tokens') !== undefined
  ) {
    // memory_guard.py, estimate_memory: None can't be added; nothing catches it.
    respond(response, 500, 'Internal Server Error', 'text/plain');
  } else if (member(body, 'stream') === true) stream(body, response, face);
  else respond(response, 200, face === 'answers' ? answer('Hello there!') : answer(''));
}

/** The words of the answer pass for completion tokens, and total tokens are those of the prompt. */
function answer(content: string): object {
  const worked = content !== '';
  return {
    id: ID,
    object: 'chat.completion',
    created: 1764000000,
    model: 'gpt-oss-20b',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: {
      prompt_tokens: worked ? 90 : 0,
      completion_tokens: content.split(/\s+/).filter(Boolean).length,
      total_tokens: worked ? 88 : 0,
    },
    metadata: worked ? { model_id: 'gpt-oss-20b', tokens_before: 90, tokens_after: 88 } : {},
  };
}

function stream(body: unknown, response: ServerResponse, face: GptOssHfFace | 'answers'): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const send = (event: object) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  send({ type: 'start', request_id: ID, model: 'gpt-oss-20b' });
  if (member(body, 'temperature') === 0) {
    // gen_kwargs has no temperature then: KeyError.
    send({ type: 'error', error: "'temperature'" });
  } else if (face === 'out of memory') send({ type: 'error', error: CUDA });
  else {
    send({ type: 'token', content: 'Hello' });
    if (face === 'fails in its stream')
      send({ type: 'error', error: 'probability tensor contains inf' });
    if (face === 'answers') {
      send({ type: 'token', content: ' there!' });
      send({ type: 'done', request_id: ID });
    }
  }
  response.end();
}
