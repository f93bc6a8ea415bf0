/** From bytes to a request that can be decided on: read, scanned, parsed, its session named. */
import type { ScannedRequest } from '../../backend-adapters/adapter.ts';
import { smallValue } from '../json/splice.ts';
import type { Priority, RequestShape } from '../policy/types.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import { routeIn } from '../state/pools.ts';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import { priorityOf } from './priority-header.ts';
import { invalidRequest, noBackend, type Problem, refusal } from './problem.ts';
import { type ReadRequest, readBody, refusedUnread } from './read-body.ts';
import { invite, respondProblem } from './respond.ts';

/** A request read and understood, not yet admitted. */
export interface Understood {
  readonly scanned: ScannedRequest;
  readonly shape: RequestShape;
  readonly admission: AdmissionRequest;
  /** The class that holds, where the client asked for one. */
  readonly disclosedPriority: Priority | null;
}

/** Reads the body, or answers why it is not read further and gives null. */
export async function readRequest(
  parts: GenerationParts,
  talk: Conversation,
): Promise<ReadRequest | null> {
  const { message, response, id, abort, route } = talk;
  const early =
    talk.tenant === null
      ? refusal(401, 'invalid_api_key', 'A valid API key is needed.')
      : refusedUnread(message, parts.maxBodyBytes);
  if (early !== null) {
    respondProblem(response, early, { 'x-request-id': id }, route.api);
    return null;
  }
  invite(response);
  const read = await readBody(message, parts, abort.signal);
  if (read.ok) return read.request;
  respondProblem(response, read.problem, { 'x-request-id': id }, route.api);
  return null;
}

/** What the body asks for, or why it can't be served. */
export function understand(
  parts: GenerationParts,
  talk: Conversation,
  read: ReadRequest,
): Understood | Problem {
  const { message, tenant, id, route } = talk;
  const spokesman = parts.pools.spokesmanFor(route.path);
  if (spokesman === null) return noBackend();
  const { adapter, facts } = spokesman;
  const priority = priorityOf(message.headers, parts.tenants.maxPriorityOf(message.headers));
  if ('status' in priority) return priority;
  const scanned = {
    route: routeIn(adapter, route.path) ?? route,
    body: read.body,
    object: read.object,
  };
  const parsed = adapter.parse(scanned, facts);
  if ('invalid' in parsed) return invalidRequest(parsed.invalid, parsed.param);
  const promptTokens = parts.promptCounts.expected(spokesman.name, parsed.promptTokens);
  const shape = { ...parsed, promptTokens };

  const conversation = () => {
    const member = read.object.members.get('conversation');
    return member === undefined ? undefined : smallValue(read.body, member);
  };
  const session = parts.tenants.sessionOf(tenant ?? '', message.headers, read.object, conversation);
  if (session !== null && 'status' in session) return session;
  return {
    scanned,
    shape,
    disclosedPriority: priority.disclosed,
    admission: {
      id,
      path: route.path,
      shape,
      session,
      tenant: tenant ?? '',
      priority: priority.held,
      neverDegrade: message.headers['x-kvgate-degrade'] === 'never',
      countTokens: parts.promptCounts.counterFor(spokesman, scanned, shape),
    },
  };
}
