/** `POST /explain`: the decision a body would get now; nothing is taken or forwarded. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GenerationRoute, RequestKind } from '../../backend-adapters/adapter.ts';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import { invalidRequest } from './problem.ts';
import type { ReadRequest } from './read-body.ts';
import { respondJson, respondProblem } from './respond.ts';
import { readRequest, understand } from './understand-request.ts';
import { closeOf } from './write-out.ts';

/** The member by which a body shows its kind, where `?route=` does not name it. */
const TELLING: ReadonlyArray<readonly [member: string, kind: RequestKind]> = [
  ['messages', 'chat'],
  ['input', 'responses'],
  ['prompt', 'completion'],
];

/** What an answer to the operator looks like, and where a body goes that tells nothing of itself. */
const BY_BODY: GenerationRoute = { path: '/v1/completions', kind: 'completion', api: 'openai' };

/** @throws ClientGone when the client leaves before it has its answer */
export async function handleExplain(
  parts: GenerationParts,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const abort = new AbortController();
  void closeOf(response, abort);
  const talk: Conversation = {
    id: randomUUID(),
    abort,
    tenant: parts.tenants.verifies ? 'operator' : 'anyone',
    message,
    response,
    route: BY_BODY,
  };
  const read = await readRequest(parts, talk);
  if (read === null) return;
  try {
    const named = new URLSearchParams(message.url?.split('?')[1] ?? '').get('route');
    const route = named === null ? routeOf(parts, read) : parts.pools.routeOf(named);
    if (route === null) {
      const why = `no backend generates at ${named?.slice(0, 200)}`;
      respondProblem(response, invalidRequest(why, 'route'));
      return;
    }
    const understood = understand(parts, { ...talk, route }, read);
    if ('status' in understood) {
      respondProblem(response, understood);
      return;
    }
    const decision = await parts.admission.explain(understood.admission, abort.signal);
    respondJson(response, 200, { decision, shape: understood.shape });
  } finally {
    read.release();
  }
}

/** The first route that a body of this kind could be sent to. */
function routeOf({ pools }: GenerationParts, { object }: ReadRequest): GenerationRoute {
  const kind = TELLING.find(([member]) => object.members.has(member))?.[1] ?? BY_BODY.kind;
  const routes = pools.spokesman?.adapter.generationRoutes ?? [];
  return routes.find((route) => route.kind === kind) ?? BY_BODY;
}
