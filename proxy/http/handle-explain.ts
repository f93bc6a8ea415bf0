/** `POST /explain`: the decision a body would get now; nothing is taken or forwarded. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import type { ReadRequest } from './read-body.ts';
import { respondJson, respondProblem } from './respond.ts';
import { readRequest, understand } from './understand-request.ts';
import { closeOf } from './write-out.ts';

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
  };
  const read = await readRequest(parts, talk);
  if (read === null) return;
  try {
    const understood = understand(parts, talk, read, routeOf(parts, read));
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

/** The route that the body would be sent to: only a chat has messages. */
function routeOf({ pools }: GenerationParts, { object }: ReadRequest): string {
  const kind = object.members.has('messages') ? 'chat' : 'completion';
  const routes = pools.spokesman?.adapter.generationRoutes ?? [];
  return routes.find((route) => route.kind === kind)?.path ?? '';
}
