/** `/admin/*`: what an operator may change while kvgate runs. Each route wants the admin token. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { memberJson } from '../json/splice.ts';
import type { Admission } from '../state/admission.ts';
import type { Headrooms } from '../state/headrooms.ts';
import type { Pools } from '../state/pools.ts';
import { LoopShare } from './loop-share.ts';
import { mayAdminister } from './operator-access.ts';
import { invalidRequest, type Problem, refusal } from './problem.ts';
import { BufferBudget, type ReadRequest, readBody, refusedUnread } from './read-body.ts';
import { invite, respondJson, respondProblem } from './respond.ts';
import { closeOf } from './write-out.ts';

export interface AdminParts {
  readonly pools: Pools;
  readonly headrooms: Headrooms;
  readonly admission: Pick<Admission, 'pump'>;
  readonly adminToken: string | null;
}

type Handler = (
  parts: AdminParts,
  message: IncomingMessage,
  response: ServerResponse,
) => Promise<void> | void;

const DYNAMIC_THRESHOLDS = '/admin/dynamic-thresholds';

const ROUTES: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  [`GET ${DYNAMIC_THRESHOLDS}`, (parts, _, response) => tellThresholds(parts, response)],
  [`POST ${DYNAMIC_THRESHOLDS}`, switchThresholds],
]);

const PATHS: ReadonlySet<string> = new Set([DYNAMIC_THRESHOLDS]);

/** Bodies here are a switch or two. */
const MAX_BODY_BYTES = 4_096;

export function isAdminPath(path: string): boolean {
  return path.startsWith('/admin/');
}

/** @param route method and path; who has no token is not told which there are */
export async function handleAdmin(
  parts: AdminParts,
  route: string,
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!mayAdminister(message, parts.adminToken)) {
    const how = 'The token of --admin-token-file is needed as a bearer token.';
    respondProblem(response, refusal(403, 'forbidden', how));
    return;
  }
  const handler = ROUTES.get(route);
  if (handler !== undefined) return handler(parts, message, response);
  const problem = PATHS.has(path)
    ? refusal(405, 'method_not_allowed', `${path} takes another method.`)
    : refusal(404, 'not_found', `kvgate does not serve ${path.slice(0, 200)}.`);
  respondProblem(response, problem);
}

function tellThresholds({ pools, headrooms }: AdminParts, response: ServerResponse): void {
  respondJson(response, 200, {
    enabled: headrooms.enabled,
    instances: pools.instances.map(({ name }) => ({
      instance: name,
      headroom_share: headrooms.shareOf(name),
    })),
  });
}

/** @throws ClientGone when the client leaves before its body is read */
async function switchThresholds(
  parts: AdminParts,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const enabled = await readSwitch('enabled', message, response);
  if (typeof enabled !== 'boolean') {
    respondProblem(response, enabled);
    return;
  }
  parts.headrooms.enable(enabled);
  // What was held back may fit now.
  parts.admission.pump();
  tellThresholds(parts, response);
}

/** The one member of a body, true or false; or what is wrong with the body. */
async function readSwitch(
  name: string,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<boolean | Problem> {
  const unread = refusedUnread(message, MAX_BODY_BYTES);
  if (unread !== null) return unread;
  const abort = new AbortController();
  void closeOf(response, abort);
  invite(response);
  const limits = {
    maxBodyBytes: MAX_BODY_BYTES,
    budget: new BufferBudget(MAX_BODY_BYTES),
    share: new LoopShare(),
  };
  const read = await readBody(message, limits, abort.signal);
  if (!read.ok) return read.problem;
  return switchIn(read.request, name);
}

function switchIn({ object, body }: ReadRequest, name: string): boolean | Problem {
  const unknown = [...object.members.keys()].find((key) => key !== name);
  if (unknown !== undefined) return invalidRequest('this field is not known', unknown.slice(0, 64));
  const member = object.members.get(name);
  if (member?.kind !== 'boolean') return invalidRequest(`${name} must be true or false`, name);
  return memberJson(body, member) === 'true';
}
