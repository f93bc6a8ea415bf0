/** The operator's plane: health, metrics, memory and sessions, cancel and explain. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Admission } from '../state/admission.ts';
import type { Clock } from '../state/clock.ts';
import type { GpuMonitor } from '../state/gpu-monitor.ts';
import type { GpuReading } from '../state/gpu-source.ts';
import { tagsOf } from '../state/instance-tags.ts';
import type { Overview } from '../state/overview.ts';
import type { Pools } from '../state/pools.ts';
import type { Sessions } from '../state/sessions.ts';
import type { Tally } from '../state/tally.ts';
import { PROMPT_VERSION } from './disclose.ts';
import type { Exchanges } from './exchanges.ts';
import { mayOperate } from './operator-access.ts';
import { refusal } from './problem.ts';
import { respondJson, respondProblem, respondText } from './respond.ts';
import type { Tenants } from './tenants.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const MAX_SESSIONS_SHOWN = 1_000;
const MAX_REQUESTS_SHOWN = 1_000;

export interface OperatorParts {
  readonly pools: Pools;
  readonly gpu: GpuMonitor;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly overview: Overview;
  readonly exchanges: Exchanges;
  readonly tenants: Tenants;
  readonly tally: Tally;
  readonly clock: Clock;
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
  ['GET /memory_stats', memoryStats],
  ['GET /stats', stats],
  ['POST /explain', (parts, message, response) => parts.explain(message, response)],
]);

const CANCEL = /^POST \/cancel\/([^/]*)$/;
const PATHS = /^\/(health|ready|metrics|memory_stats|stats|explain|cancel\/[^/]*)$/;

/** Whether a path is the operator's: such a path is never forwarded. */
export function isOperatorPath(path: string): boolean {
  return PATHS.test(path);
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

function memoryStats(
  parts: OperatorParts,
  _message: IncomingMessage,
  response: ServerResponse,
): void {
  const { sessions, gpu, tally, clock, overview } = parts;
  const gpus = gpu.snapshot?.gpus ?? [];
  const use = gpuUse(gpus);
  respondJson(response, 200, {
    active_sessions: sessions.active,
    total_kv_mb: rounded(sessions.totalBytes / MIB),
    gpu_usage: use === null ? null : `${(use.share * 100).toFixed(1)}%`,
    gpu_free_mb: use === null ? null : rounded(use.freeBytes / MIB),
    session_details: sessions.details(MAX_SESSIONS_SHOWN, clock.nowMs()).map((session) => ({
      id: session.id,
      kv_mb: rounded(session.kvBytes / MIB),
      requests: session.requests,
      idle_seconds: rounded(session.idleMs / 1000),
      age_seconds: rounded(session.ageMs / 1000),
      live_kv_mb: rounded(session.liveBytes / MIB),
      resident_kv_mb: rounded(session.residentBytes / MIB),
    })),
    gpu_memory: gpus.map(gpuMemory),
    rejected_count: tally.rejected,
    routed_4gpu_count: tally.routedLarge,
    degraded_count: tally.degraded,
    gpu_source: gpu.sourceName,
    gpu_age_seconds: gpu.ageMs === null ? null : rounded(gpu.ageMs / 1000),
    instances: overview.instances(),
  });
}

/** The use of all GPUs together; null when one of them can't be read. */
function gpuUse(gpus: readonly GpuReading[]): { share: number; freeBytes: number } | null {
  let used = 0;
  let total = 0;
  for (const { usedBytes, totalBytes } of gpus) {
    if (usedBytes === null || totalBytes === null) return null;
    used += usedBytes;
    total += totalBytes;
  }
  return total === 0 ? null : { share: used / total, freeBytes: total - used };
}

function gpuMemory({ index, uuid, name, totalBytes, usedBytes, unknownWhy }: GpuReading) {
  const known = totalBytes !== null && usedBytes !== null;
  return {
    gpu_id: index,
    uuid,
    name,
    free_gb: known ? rounded((totalBytes - usedBytes) / GIB) : null,
    total_gb: totalBytes === null ? null : rounded(totalBytes / GIB),
    used_gb: usedBytes === null ? null : rounded(usedBytes / GIB),
    usage_percent: known ? rounded((usedBytes / totalBytes) * 100) : null,
    unknown_why: unknownWhy,
  };
}

function stats(parts: OperatorParts, _message: IncomingMessage, response: ServerResponse): void {
  const { tally, admission, exchanges, overview, sessions } = parts;
  respondJson(response, 200, {
    version: parts.version,
    requests_in_flight: exchanges.size,
    request_ids: exchanges.ids(MAX_REQUESTS_SHOWN),
    queue_length: admission.queueLength,
    active_sessions: sessions.active,
    decisions: tally.decisions,
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

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
