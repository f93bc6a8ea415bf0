/** The operator's plane: health, metrics, memory and sessions, cancel and explain. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Admission } from '../state/admission.ts';
import { tagsOf } from '../state/instance-tags.ts';
import type { LengthForecasts } from '../state/lengths/length-forecasts.ts';
import type { Pools } from '../state/pools.ts';
import { type AdminParts, handleAdmin, isAdminPath } from './admin-routes.ts';
import { PROMPT_VERSION } from './disclose.ts';
import type { Exchanges } from './exchanges.ts';
import { type MemoryParts, memoryStats } from './memory-stats.ts';
import { mayOperate } from './operator-access.ts';
import { refusal } from './problem.ts';
import { respondJson, respondProblem, respondText } from './respond.ts';
import type { Tenants } from './tenants.ts';

const MAX_REQUESTS_SHOWN = 1_000;

export interface OperatorParts extends MemoryParts, AdminParts {
  readonly pools: Pools;
  readonly admission: Admission;
  readonly lengths: LengthForecasts;
  readonly exchanges: Exchanges;
  readonly tenants: Tenants;
  readonly metricsPage: { text(): Promise<string>; readonly contentType: string };
  readonly adminToken: string | null;
  readonly version: string;
  readonly explain: (message: IncomingMessage, response: ServerResponse) => Promise<void>;
}

type Handler = (
  parts: OperatorParts,
  message: IncomingMessage,
  response: ServerResponse,
) => Promise<void> | void;

/** Open to anyone, with no more than state and model tags. */
const OPEN: ReadonlyMap<string, Handler> = new Map([
  ['GET /health', health],
  ['GET /ready', ready],
]);

const GUARDED: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['GET /metrics', metrics],
  ['GET /memory_stats', (parts, _, response) => respondJson(response, 200, memoryStats(parts))],
  ['GET /stats', stats],
  ['POST /explain', (parts, message, response) => parts.explain(message, response)],
]);

const CANCEL = /^POST \/cancel\/([^/]*)$/;
const PATHS = /^\/(health|ready|metrics|memory_stats|stats|explain|cancel\/[^/]*)$/;

/** Whether a path is the operator's: such a path is never forwarded. */
export function isOperatorPath(path: string): boolean {
  return PATHS.test(path) || isAdminPath(path);
}

/** `/health` and `/ready`, which stay on the data port when the rest has moved. */
export function isOpenPath(path: string): boolean {
  return OPEN.has(`GET ${path}`);
}

export async function handleOperator(
  parts: OperatorParts,
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = message.method === 'HEAD' ? 'GET' : message.method;
  const route = `${method} ${path}`;
  if (isAdminPath(path)) return handleAdmin(parts, route, path, message, response);
  const open = OPEN.get(route);
  if (open !== undefined) return open(parts, message, response);

  const cancelled = CANCEL.exec(route)?.[1];
  if (cancelled !== undefined) return cancel(parts, cancelled, message, response);
  const guarded = GUARDED.get(route);
  if (guarded === undefined) {
    respondProblem(response, refusal(405, 'method_not_allowed', `${path} takes another method.`));
    return;
  }
  if (!mayOperate(message, parts.adminToken)) {
    forbid(parts, response);
    return;
  }
  return guarded(parts, message, response);
}

function forbid(parts: OperatorParts, response: ServerResponse): void {
  const how =
    parts.adminToken === null
      ? 'Without an admin token this is answered to direct requests from loopback only.'
      : 'The admin token is needed as a bearer token.';
  respondProblem(response, refusal(403, 'forbidden', how));
}

function health(parts: OperatorParts, _message: IncomingMessage, response: ServerResponse): void {
  const { spokesman, instances } = parts.pools;
  const tags = spokesman === null ? null : tagsOf(spokesman);
  const up = instances.filter((instance) => instance.health.state === 'healthy').length;
  respondJson(response, 200, {
    status: up === 0 ? 'unavailable' : up < instances.length ? 'degraded' : 'ok',
    version: parts.version,
    dtype: tags?.dtype ?? null,
    model: {
      model_id: tags?.modelId ?? null,
      model_size: tags?.modelSize ?? null,
      dtype: tags?.dtype ?? null,
      gpu_mode: tags?.gpuMode ?? null,
      prompt_version: PROMPT_VERSION,
    },
    backends: instances.map(({ name, pool, health: { state } }) => ({ name, pool, state })),
  });
}

function ready(parts: OperatorParts, _message: IncomingMessage, response: ServerResponse): void {
  const hasBackend = parts.pools.instances.some((instance) => instance.health.state === 'healthy');
  const isReady = hasBackend && !parts.exchanges.draining;
  respondJson(response, isReady ? 200 : 503, { ready: isReady });
}

async function metrics(
  parts: OperatorParts,
  _message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const page = await parts.metricsPage.text();
  respondText(response, 200, page, parts.metricsPage.contentType);
}

function stats(parts: OperatorParts, _message: IncomingMessage, response: ServerResponse): void {
  const { tally, admission, exchanges, overview, sessions, lengths } = parts;
  respondJson(response, 200, {
    version: parts.version,
    requests_in_flight: exchanges.size,
    request_ids: exchanges.ids(MAX_REQUESTS_SHOWN),
    queue_length: admission.queueLength,
    active_sessions: sessions.active,
    decisions: tally.decisions,
    output_lengths: lengths.summaries().map((summary) => ({
      kind: summary.kind,
      samples: summary.samples,
      q50_tokens: summary.q50Tokens,
      q95_tokens: summary.q95Tokens,
      q99_tokens: summary.q99Tokens,
      q95_coverage: summary.coverage,
    })),
    instances: overview.instances(),
  });
}

/** The operator may cancel any request, a verified tenant its own. */
function cancel(
  parts: OperatorParts,
  id: string,
  message: IncomingMessage,
  response: ServerResponse,
): void {
  const exchange = parts.exchanges.get(id);
  const owns =
    parts.tenants.verifies &&
    exchange !== undefined &&
    parts.tenants.tenantOf(message.headers) === exchange.tenant;
  if (!owns && !mayOperate(message, parts.adminToken)) {
    forbid(parts, response);
    return;
  }
  if (exchange === undefined) {
    respondProblem(response, refusal(404, 'not_found', 'No request with this id is in flight.'));
    return;
  }
  exchange.cancel('operator');
  respondJson(response, 200, { cancelled: id });
}
