/**
 * A server that behaves like `transformers serve MODEL` 5.18, in its default mode,
 * as a real one answered on a CPU and as its source has it (files below
 * src/transformers/cli/serving). One generation runs at a time.
 */
import type { ServerResponse } from 'node:http';
import { type ContractServer, type Exchange, startContractServer } from './contract-server.ts';

export type Face =
  /** Any exception in a generation that is not streamed (Starlette's own answer, no request id). */
  | 'fails'
  /** chat_completion.py: `_StreamError`, its text between quotes as it is, and the end. */
  | 'out of memory in its stream'
  /** The process is killed: the chunked body never ends. */
  | 'dies in its stream';

const MODEL = 'openai/gpt-oss-20b';
const ID = { 'x-request-id': '0a7e1f00-0000-4000-8000-000000000000' };
const ROUTES = ['/v1/chat/completions', '/v1/completions', '/v1/responses'];
const TEXT = ['abc', 'def'];
const USAGE = { completion_tokens: 2, prompt_tokens: 26, total_tokens: 28 };
const CUDA = 'CUDA out of memory. Tried to allocate "2.00" GiB.';

export function startTransformers(): Promise<ContractServer<Face>> {
  return startContractServer<Face>({
    state: stateAnswer,
    generates: (path) => ROUTES.includes(path),
    generate,
    notFound: '{"detail":"Not Found"}',
  });
}

/** server.py; the list is that of the local cache (model_manager.py). */
function stateAnswer({ method, path, response }: Exchange): boolean {
  const route = `${method} ${path}`;
  if (route === 'GET /health') json(response, { status: 'ok' });
  else if (route === 'GET /v1/models') {
    const data = [{ owned_by: 'openai', id: MODEL, object: 'model', created: 1_764_000_000 }];
    json(response, { object: 'list', data });
  } else return false;
  return true;
}

function generate({ path, body, response }: Exchange, face: Face | 'answers'): void {
  const { stream } = body as { readonly stream?: boolean };
  // Its Responses stream unless they are told not to.
  const streams = stream ?? path === '/v1/responses';
  if (face === 'fails') {
    response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('Internal Server Error');
  } else if (!streams) json(response, answerOf(path));
  else streamTo(response, path, face);
}

function json(response: ServerResponse, value: object): void {
  response.writeHead(200, { 'content-type': 'application/json', ...ID });
  response.end(JSON.stringify(value));
}

function streamTo(response: ServerResponse, path: string, face: Face | 'answers'): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', ...ID });
  const events = eventsOf(path);
  if (face === 'answers') {
    for (const event of events) response.write(event);
    response.end();
    return;
  }
  for (const event of events.slice(0, 2)) response.write(event);
  if (face === 'dies in its stream') response.write('', () => response.socket?.end());
  else response.end(`data: {"error": "${CUDA}"}\n\n`);
}

function head(object: string): object {
  return { id: ID['x-request-id'], created: 1_764_000_000, model: `${MODEL}@main`, object };
}

function answerOf(path: string): object {
  const text = TEXT.join('');
  if (path === '/v1/responses') return responsesAnswer(text);
  const said =
    path === '/v1/completions' ? { text } : { message: { content: text, role: 'assistant' } };
  const object = path === '/v1/completions' ? 'text_completion' : 'chat.completion';
  return {
    ...head(object),
    choices: [{ finish_reason: 'length', index: 0, ...said }],
    usage: USAGE,
  };
}

/** The finish chunk carries the usage, and no [DONE] follows it. */
function eventsOf(path: string): readonly string[] {
  if (path === '/v1/responses') return responsesEvents();
  const isChat = path === '/v1/chat/completions';
  const chunk = (said: object, rest: object = {}) =>
    sse({
      ...head(isChat ? 'chat.completion.chunk' : 'text_completion'),
      choices: [{ index: 0, ...said }],
      system_fingerprint: '',
      ...rest,
    });
  const piece = (content: string) => (isChat ? { delta: { content } } : { text: content });
  return [
    ...(isChat ? [chunk({ delta: { role: 'assistant' } })] : []),
    ...TEXT.map((content) => chunk(piece(content))),
    chunk(
      { ...(isChat ? { delta: {} } : { text: '' }), finish_reason: 'length' },
      { usage: USAGE },
    ),
  ];
}

function responsesAnswer(text: string): object {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_764_000_000,
    model: `${MODEL}@main`,
    status: 'completed',
    output: [{ id: 'msg_1', type: 'message', content: [{ type: 'output_text', text }] }],
    usage: { input_tokens: 26, output_tokens: 2, total_tokens: 28 },
  };
}

/** Data alone, without `event:` lines (response.py). */
function responsesEvents(): readonly string[] {
  return [
    sse({ type: 'response.created', response: { id: 'resp_1', status: 'queued' } }),
    ...TEXT.map((delta) => sse({ type: 'response.output_text.delta', item_id: 'msg_1', delta })),
    sse({ type: 'response.completed', response: responsesAnswer(TEXT.join('')) }),
  ];
}

function sse(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
