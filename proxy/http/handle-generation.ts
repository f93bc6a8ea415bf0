/**
 * One generation request from its first byte to its last: read, parse, admit,
 * forward, settle. Each step hands on a value; whatever ends the request ends
 * its lease exactly once, or leaves it to drain.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Adapter, Rewrite, ScannedRequest } from '../../backend-adapters/adapter.ts';
import { smallValue, splice } from '../json/splice.ts';
import type { RequestShape } from '../policy/types.ts';
import type { Admission, Admitted } from '../state/admission.ts';
import type { Drains } from '../state/drains.ts';
import type { EngineMonitor } from '../state/engine-monitor.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import type { Log } from '../state/log.ts';
import type { Pools, ServingInstance } from '../state/pools.ts';
import {
  cacheKeyOf,
  type Disclosure,
  decisionHeaders,
  disclosureHeaders,
  withMetadata,
} from './disclose.ts';
import type { Exchanges } from './exchanges.ts';
import { type Ended, type ForwardTimeouts, forwardGeneration } from './forward-generation.ts';
import { endToEnd } from './hop-headers.ts';
import {
  ClientGone,
  Fault,
  invalidRequest,
  type Problem,
  problemOfFault,
  problemOfRejection,
  refusal,
} from './problem.ts';
import { type BufferBudget, type ReadRequest, readBody, refusedUnread } from './read-body.ts';
import { respondJson, respondProblem } from './respond.ts';
import type { Settlement } from './settle.ts';
import type { Tenants } from './tenants.ts';
import { neverSent, type Upstream } from './upstream.ts';

export interface GenerationParts {
  readonly pools: Pools;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly engines: EngineMonitor;
  readonly exchanges: Exchanges;
  readonly tenants: Tenants;
  readonly budget: BufferBudget;
  readonly settlement: Settlement;
  readonly log: Log;
  readonly upstreamOf: (instance: string) => Upstream;
  readonly timeouts: ForwardTimeouts;
  readonly maxBodyBytes: number;
  readonly responseMetadata: boolean;
}

/** A request read and understood, not yet admitted. */
interface Understood {
  readonly adapter: Adapter;
  readonly scanned: ScannedRequest;
  readonly shape: RequestShape;
  readonly admission: AdmissionRequest;
}

/** Headers that are the proxy's business with its client, or are made anew for the backend. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'accept-encoding',
  // llama.cpp would go on generating for such a request after its client has left.
  'x-conversation-id',
]);

const UNTOUCHED: Rewrite = { edits: [], changed: [], skipped: [] };

/** Answers a request to a route that generates. Never rejects. */
export async function handleGeneration(
  parts: GenerationParts,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const id = randomUUID();
  const abort = new AbortController();
  const tenant = parts.tenants.tenantOf(message.headers);
  const leave = parts.exchanges.add({
    id,
    tenant: tenant ?? '',
    cancel: (by) => {
      const code = by === 'operator' ? 'cancelled' : 'draining';
      abort.abort(new Fault(code, `cancelled by ${by}`));
    },
  });
  response.once('close', () => {
    if (!response.writableFinished) abort.abort(new ClientGone('closed its connection'));
  });
  try {
    await converse(parts, { id, abort, tenant, message, response });
  } catch (error) {
    answerFault(parts, error, id, response);
  } finally {
    leave();
  }
}

interface Conversation {
  readonly id: string;
  readonly abort: AbortController;
  /** null: the API key is missing or wrong. */
  readonly tenant: string | null;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
}

async function converse(parts: GenerationParts, talk: Conversation): Promise<void> {
  const { response, message, id } = talk;
  const read = await readRequest(parts, talk);
  if (read === null) return;
  try {
    const understood = understand(parts, talk, read);
    if ('status' in understood) {
      respondProblem(response, understood, { 'x-request-id': id });
      return;
    }
    const result = await parts.admission.admit(understood.admission, talk.abort.signal);
    switch (result.outcome) {
      case 'abandoned':
        // An operator's cancel or a shutdown found it waiting: that much can still be said.
        if (talk.abort.signal.reason instanceof Fault) throw talk.abort.signal.reason;
        return;
      case 'rejected': {
        logDecision(parts.log, id, result.decision, null);
        const headers = decisionHeaders(id, result.decision);
        respondProblem(response, problemOfRejection(result.decision), headers);
        return;
      }
      case 'admitted':
        await serve(parts, talk, understood, result.admitted);
    }
  } finally {
    read.release();
    message.resume();
  }
}

/** Reads the body, or answers why it is not read further and gives null. */
async function readRequest(
  parts: GenerationParts,
  talk: Conversation,
): Promise<ReadRequest | null> {
  const { message, response, id } = talk;
  const early =
    talk.tenant === null
      ? refusal(401, 'invalid_api_key', 'A valid API key is needed.')
      : refusedUnread(message, parts.maxBodyBytes);
  const refuse = (problem: Problem, unread: boolean) => {
    respondProblem(response, problem, {
      'x-request-id': id,
      ...(unread ? { connection: 'close' } : {}),
    });
    return null;
  };
  if (early !== null) return refuse(early, true);
  if (message.headers.expect !== undefined) response.writeContinue();
  const read = await readBody(message, parts.maxBodyBytes, parts.budget);
  return read.ok ? read.request : refuse(read.problem, read.unread);
}

function understand(
  parts: GenerationParts,
  talk: Conversation,
  read: ReadRequest,
): Understood | Problem {
  const { message, tenant, id } = talk;
  const spokesman = parts.pools.spokesman;
  if (spokesman === null) {
    return {
      ...refusal(503, 'server_is_overloaded', 'No backend is healthy at the moment.'),
      retry: { afterMs: 5_000 },
    };
  }
  const { adapter, facts } = spokesman;
  const path = (message.url ?? '').split('?', 1)[0] ?? '';
  const scanned: ScannedRequest = { path, body: read.body, object: read.object };
  const shape = adapter.parse(scanned, facts.framing);
  if ('invalid' in shape) return invalidRequest(shape.invalid, shape.param);

  const conversation = () => {
    const member = read.object.members.get('conversation');
    return member === undefined ? undefined : smallValue(read.body, member);
  };
  const session = parts.tenants.sessionOf(tenant ?? '', message.headers, read.object, conversation);
  if (session !== null && 'status' in session) return session;
  return {
    adapter,
    scanned,
    shape,
    admission: {
      id,
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
): Promise<number | null> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(COUNT_TIMEOUT_MS)]);
  try {
    return await instance.adapter.countTokens(instance.io, scanned, bounded);
  } catch (error) {
    parts.log.debug('Token count failed', { instance: instance.name, detail: String(error) });
    return null;
  }
}

/** Counting is worth less than this; the upper bound serves as well, only less exactly. */
const COUNT_TIMEOUT_MS = 2_000;

async function serve(
  parts: GenerationParts,
  talk: Conversation,
  understood: Understood,
  admitted: Admitted,
): Promise<void> {
  const { scanned, shape } = understood;
  const { instance, decision, lease } = admitted;
  logDecision(parts.log, talk.id, admitted.reported, instance.name);
  const rewrite = admitted.observed
    ? UNTOUCHED
    : instance.adapter.rewrite(scanned, shape, decision.grant);
  const disclosure: Disclosure = {
    requestId: talk.id,
    shape,
    admitted,
    changed: rewrite.changed,
    skipped: rewrite.skipped,
    cacheKey: cacheKeyOf(scanned.body, scanned.object),
  };
  const progress = parts.settlement.begin(admitted, shape, rewrite.changed.length > 0);
  const { adapter } = instance;
  try {
    const ended = await forwardGeneration(
      {
        upstream: parts.upstreamOf(instance.name),
        adapter,
        path: talk.message.url ?? scanned.path,
        headers: forwardedHeaders(parts, talk.message),
        body: splice(scanned.body, scanned.object, rewrite.edits),
        disclosed: disclosureHeaders(disclosure),
        transform:
          parts.responseMetadata && !shape.stream
            ? (answer) => withMetadata(answer, disclosure, adapter.usage(parsedAnswer(answer)))
            : null,
        timeouts: parts.timeouts,
        abort: talk.abort,
        onTokens: progress.tokens,
      },
      talk.response,
    );
    finish(parts, admitted, ended, progress);
  } catch (error) {
    fail(parts, admitted, error);
    throw error;
  } finally {
    if (lease.state === 'open') parts.drains.drain(lease);
  }
}

function parsedAnswer(answer: Buffer): unknown {
  try {
    return JSON.parse(answer.toString('utf8'));
  } catch {
    return null;
  }
}

function forwardedHeaders(
  parts: GenerationParts,
  message: IncomingMessage,
): Record<string, string | string[]> {
  const headers = endToEnd(message.headers, NOT_FORWARDED);
  // A key that kvgate itself verified is not the backend's business.
  if (parts.tenants.verifies) {
    delete headers.authorization;
    delete headers['x-api-key'];
  }
  return { ...headers, 'accept-encoding': 'identity' };
}

/** The engine's answer is over: it has let go, unless it broke off. */
function finish(
  parts: GenerationParts,
  admitted: Admitted,
  ended: Ended,
  progress: ReturnType<Settlement['begin']>,
): void {
  switch (ended.how) {
    case 'complete':
      admitted.lease.end();
      progress.complete(ended);
      return;
    case 'refused':
      admitted.lease.end();
      return;
    case 'broken':
      parts.log.warn('Backend broke off a stream', {
        instance: admitted.instance.name,
        detail: ended.why,
      });
      parts.settlement.cancelled('backend');
      void parts.engines.probeNow(admitted.instance.name);
  }
}

function fail(parts: GenerationParts, admitted: Admitted, error: unknown): void {
  const { lease, instance } = admitted;
  if (error instanceof ClientGone) {
    parts.settlement.cancelled('client');
    return;
  }
  if (!(error instanceof Fault)) return;
  switch (error.code) {
    case 'cancelled':
      parts.settlement.cancelled('operator');
      return;
    case 'draining':
      parts.settlement.cancelled('drain');
      return;
    case 'backend_loading':
    case 'backend_busy':
      lease.end();
      return;
    case 'backend_failed':
      // It answered with an error, or never saw the request: either way it holds nothing of it.
      if (error.cause === undefined || neverSent(error)) lease.end();
      void parts.engines.probeNow(instance.name);
      return;
    case 'backend_timeout':
      return;
  }
}

function answerFault(
  parts: GenerationParts,
  error: unknown,
  id: string,
  response: ServerResponse,
): void {
  if (error instanceof ClientGone || response.destroyed) {
    response.destroy();
    return;
  }
  if (error instanceof Fault) {
    parts.log.warn('Backend fault', { request: id, code: error.code, detail: describe(error) });
    respondProblem(response, problemOfFault(error), { 'x-request-id': id });
    return;
  }
  parts.log.error('Unexpected fault', { request: id, detail: describe(error) });
  const problem: Problem = { ...refusal(500, 'internal_error', 'kvgate failed.'), retry: 'unsaid' };
  respondProblem(response, problem, { 'x-request-id': id });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.message}${cause}`;
}

function logDecision(
  log: Log,
  id: string,
  decision: { action: string; reason: string; level: string; promptTokens: number },
  instance: string | null,
): void {
  const { action, reason, level, promptTokens } = decision;
  log.info('Admission check', {
    request: id,
    action,
    reason,
    pressure: level,
    promptTokens,
    instance,
  });
}

/** `POST /explain`: the decision a body would get now; nothing is taken or forwarded. */
export async function handleExplain(
  parts: GenerationParts,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const talk: Conversation = {
    id: randomUUID(),
    abort: new AbortController(),
    tenant: parts.tenants.verifies ? 'operator' : 'anyone',
    message,
    response,
  };
  const read = await readRequest(parts, talk);
  if (read === null) return;
  try {
    const understood = understand(parts, talk, read);
    if ('status' in understood) {
      respondProblem(response, understood);
      return;
    }
    const decision = await parts.admission.explain(understood.admission, talk.abort.signal);
    respondJson(response, 200, { decision, shape: understood.shape });
  } finally {
    read.release();
  }
}
