/** Reads requests off the wire: routes, bodies, and who gets which answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isObject } from './body-fields.ts';
import type { JsonObject, Reply, RouteKind } from './dialect.ts';
import type { Personality } from './personality.ts';
import { sendReply } from './send-reply.ts';
import type { Simulation } from './simulation.ts';

const MAX_BODY_BYTES = 64 * 1024 ** 2;

const GENERATION_ROUTES: ReadonlyMap<string, RouteKind> = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/completions', 'completion'],
]);

const NOT_FOUND: Reply = { status: 404, body: { error: { message: 'Not Found', code: 404 } } };
const TOO_LARGE: Reply = {
  status: 413,
  body: { error: { message: 'Request body too large', code: 413 } },
  headers: { connection: 'close' },
};

export class HttpApi {
  readonly #personality: Personality;
  readonly #simulation: Simulation;
  readonly #isLoading: () => boolean;

  constructor(personality: Personality, simulation: Simulation, isLoading: () => boolean) {
    this.#personality = personality;
    this.#simulation = simulation;
    this.#isLoading = isLoading;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('server', 'kvgate-simulated');
    const url = new URL(request.url ?? '/', 'http://simulated');
    const method = request.method ?? 'GET';
    const simulated = method === 'GET' ? this.#simulated(url.pathname) : null;
    if (simulated !== null) return sendReply(response, { status: 200, body: simulated });
    if (this.#isLoading()) return sendReply(response, this.#personality.loadingReply);
    const kind = method === 'POST' ? GENERATION_ROUTES.get(url.pathname) : undefined;
    if (kind !== undefined) return await this.#generation(kind, request, response);
    const body = method === 'POST' ? await readJson(request) : null;
    if (body !== null && 'problem' in body) {
      return sendReply(response, this.#problemReply(body.problem));
    }
    const call = { method, path: url.pathname, query: url.searchParams, body: body?.json ?? null };
    const reply = await this.#personality.dialect.state(call);
    sendReply(response, reply ?? NOT_FOUND);
  }

  /** What tests and the `simulated` GPU source read; null: no such route. */
  #simulated(path: string): unknown {
    if (path === '/simulated/state') return this.#simulation.state();
    if (path !== '/simulated/gpu') return null;
    return { gpus: this.#personality.gpu.states(this.#simulation.isBusy) };
  }

  async #generation(
    kind: RouteKind,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const requestId = headerValue(request.headers['x-request-id']);
    const body = await readJson(request);
    this.#simulation.received();
    if ('problem' in body)
      return this.#refuse(this.#problemReply(body.problem), requestId, response);
    const parsed = this.#personality.dialect.parse(kind, body.json);
    if ('refusal' in parsed) return this.#refuse(parsed.refusal, requestId, response);
    this.#simulation.generate(parsed.request, requestId, response);
  }

  #refuse(reply: Reply, requestId: string | null, response: ServerResponse): void {
    this.#simulation.refused();
    const idHeaders = requestId === null ? {} : this.#personality.dialect.headers(requestId);
    sendReply(response, { ...reply, headers: { ...reply.headers, ...idHeaders } });
  }

  #problemReply(problem: BodyProblem): Reply {
    return problem === 'too large' ? TOO_LARGE : this.#personality.dialect.badRequest(problem);
  }
}

type BodyProblem = 'too large' | 'the body is not a JSON object';

/** The body as a JSON object. An empty body counts as an empty object. Rejects if the client leaves. */
async function readJson(
  request: IncomingMessage,
): Promise<{ readonly json: JsonObject } | { readonly problem: BodyProblem }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // A refused body must not take the socket with it: the answer still has to go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return { problem: 'too large' };
    chunks.push(chunk);
  }
  if (bytes === 0) return { json: {} };
  const json = parseJson(Buffer.concat(chunks).toString('utf8'));
  return isObject(json) ? { json } : { problem: 'the body is not a JSON object' };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function headerValue(value: string | string[] | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
