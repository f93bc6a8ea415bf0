/**
 * One generation request from its first byte to its last: read, parse, admit,
 * forward, settle. Each step hands on a value; a fault is answered here.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Api, GenerationRoute } from '../../backend-adapters/adapter.ts';
import type { Decision } from '../policy/types.ts';
import { resumedRequest } from '../state/resumed.ts';
import { decisionHeaders, requeuedHeader } from './disclose.ts';
import { ClientGone, Fault } from './fault.ts';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import { priorityHeader } from './priority-header.ts';
import { type Problem, problemOfFault, problemOfRejection, refusal } from './problem.ts';
import { respondProblem } from './respond.ts';
import { serveAdmitted } from './serve-admitted.ts';
import { readRequest, type Understood, understand } from './understand-request.ts';
import { closeOf } from './write-out.ts';

/** Answers a request to a route that generates. Never rejects. */
export async function handleGeneration(
  parts: GenerationParts,
  route: GenerationRoute,
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
      // Its answer is over but for a client that is slow to take it.
      if (response.writableEnded) response.destroy();
    },
  });
  const closed = closeOf(response, abort);
  try {
    await converse(parts, { id, abort, tenant, message, response, route });
  } catch (error) {
    answerFault(parts, error, id, response, route.api);
  } finally {
    await closed;
    leave();
  }
}

async function converse(parts: GenerationParts, talk: Conversation): Promise<void> {
  const { response, id, route } = talk;
  const read = await readRequest(parts, talk);
  if (read === null) return;
  try {
    const understood = understand(parts, talk, read);
    if ('status' in understood) {
      respondProblem(response, understood, { 'x-request-id': id }, route.api);
      return;
    }
    await answerAdmission(parts, talk, understood);
  } finally {
    read.release();
  }
}

/** Serves the request as it is admitted, and again each time it was taken back with nothing answered. */
async function answerAdmission(
  parts: GenerationParts,
  talk: Conversation,
  understood: Understood,
): Promise<void> {
  const { admission, clock } = parts;
  const { response, id, abort, route } = talk;
  let request = understood.admission;
  let result = await admission.admit(request, abort.signal);
  for (;;) {
    const requeued = request.resumed?.times ?? 0;
    switch (result.outcome) {
      case 'abandoned':
        throw abort.signal.reason;
      case 'rejected': {
        logDecision(parts, id, result.decision, null);
        const headers = {
          ...decisionHeaders(id, result.decision),
          ...requeuedHeader(requeued),
          ...priorityHeader(understood.disclosedPriority),
        };
        respondProblem(response, problemOfRejection(result.decision), headers, route.api);
        return;
      }
      case 'admitted': {
        const { reported, instance } = result.admitted;
        logDecision(parts, id, reported, instance.name);
        const { scanned, shape } = understood;
        parts.countWitnesses.admitted(id, instance, scanned, shape);
        const how = await serveAdmitted(parts, talk, understood, result.admitted, requeued);
        if (how === 'served') return;
        request = resumedRequest(request, result.admitted, clock.nowMs());
        result = await admission.readmit(request, result.admitted, abort.signal);
      }
    }
  }
}

/** Tells the client what went wrong, unless its answer had begun: then the relay has cut it. */
function answerFault(
  parts: GenerationParts,
  error: unknown,
  id: string,
  response: ServerResponse,
  api: Api,
): void {
  if (error instanceof ClientGone) {
    response.destroy();
    return;
  }
  const problem = problemOf(error);
  const detail = { request: id, code: problem.code, detail: describe(error) };
  if (error instanceof Fault) parts.log.warn('Request failed', detail);
  else parts.log.error('Unexpected fault', detail);
  if (response.headersSent) {
    if (!(error instanceof Fault)) response.destroy();
    return;
  }
  respondProblem(response, problem, { 'x-request-id': id }, api);
}

function problemOf(error: unknown): Problem {
  if (error instanceof Fault) return problemOfFault(error);
  return { ...refusal(500, 'internal_error', 'kvgate failed.'), retry: 'unsaid' };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${error.cause}`;
}

function logDecision(
  { log }: GenerationParts,
  id: string,
  decision: Decision,
  instance: string | null,
): void {
  const { action, reason, level, promptTokens, charge, estimate } = decision;
  log.info('Admission check', {
    request: id,
    action,
    reason,
    pressure: level,
    promptTokens,
    promptSource: estimate.promptTokens.source,
    kvBytes: charge?.kvBytes ?? null,
    naiveBytes: charge?.naiveBytes ?? null,
    instance,
  });
}
