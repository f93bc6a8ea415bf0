/** From bytes to a request that can be decided on: read, scanned, parsed, its session named. */
import type { ScannedRequest } from '../../backend-adapters/adapter.ts';
import { smallValue } from '../json/splice.ts';
import type { RequestShape, TokenBounds } from '../policy/types.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import { routeIn, type ServingInstance } from '../state/pools.ts';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import { invalidRequest, noBackend, type Problem, refusal } from './problem.ts';
import { type ReadRequest, readBody, refusedUnread } from './read-body.ts';
import { invite, respondProblem } from './respond.ts';

/** A request read and understood, not yet admitted. */
export interface Understood {
  readonly scanned: ScannedRequest;
  readonly shape: RequestShape;
  readonly admission: AdmissionRequest;
}

/** Counting is worth less than this; the upper bound serves as well, only less exactly. */
const COUNT_TIMEOUT_MS = 2_000;

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
  const read = await readBody(message, parts.maxBodyBytes, parts.budget, abort.signal);
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
  const scanned = {
    route: routeIn(adapter, route.path) ?? route,
    body: read.body,
    object: read.object,
  };
  const shape = adapter.parse(scanned, facts);
  if ('invalid' in shape) return invalidRequest(shape.invalid, shape.param);

  const conversation = () => {
    const member = read.object.members.get('conversation');
    return member === undefined ? undefined : smallValue(read.body, member);
  };
  const session = parts.tenants.sessionOf(tenant ?? '', message.headers, read.object, conversation);
  if (session !== null && 'status' in session) return session;
  return {
    scanned,
    shape,
    admission: {
      id,
      path: route.path,
      shape,
      session,
      neverDegrade: message.headers['x-kvgate-degrade'] === 'never',
      countTokens: (signal) => countTokens(parts, spokesman, scanned, signal),
    },
  };
}

async function countTokens(
  parts: GenerationParts,
  instance: ServingInstance,
  scanned: ScannedRequest,
  signal: AbortSignal,
): Promise<TokenBounds | null> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(COUNT_TIMEOUT_MS)]);
  try {
    const tokens = await instance.adapter.countTokens(instance.io, scanned, bounded);
    if (tokens === null) return null;
    return { lo: tokens, expected: tokens, hi: tokens, source: 'engine' };
  } catch (error) {
    parts.log.debug('Token count failed', { instance: instance.name, detail: String(error) });
    return null;
  }
}
