/**
 * The second half of a request: forward what was admitted, and settle. However
 * that ends, the lease ends exactly once: here, or, where the engine may still
 * be at work, when it has drained.
 */
import type { IncomingMessage } from 'node:http';
import type { GenerationRoute, Rewrite } from '../../backend-adapters/adapter.ts';
import { splicedPieces } from '../json/splice.ts';
import type { Admitted } from '../state/admission-result.ts';
import { type Instance, routeIn } from '../state/pools.ts';
import { cacheKeyOf, type Disclosure, disclosureHeaders, withMetadata } from './disclose.ts';
import { ClientGone, Fault } from './fault.ts';
import { forwardGeneration } from './forward-generation.ts';
import type { Forwarding } from './forwarding.ts';
import type { Conversation, GenerationParts } from './generation-parts.ts';
import { endToEnd } from './hop-headers.ts';
import type { Tenants } from './tenants.ts';
import type { Understood } from './understand-request.ts';

/** Headers that are the proxy's business with its client, or are made anew for the backend. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'accept-encoding',
  // llama.cpp would go on generating for such a request after its client has left.
  'x-conversation-id',
  // Which rank of an engine serves a request is decided with its lease.
  'x-data-parallel-rank',
  // SGLang's gateway sets these, and a server behind it would obey them.
  'x-override-routed-dp-rank',
  'x-override-priority',
  'x-override-rid',
  // A claim for this gate, which has settled what class holds.
  'x-kvgate-priority',
]);

const UNTOUCHED: Rewrite = { edits: [], changed: [], skipped: [], asksForUsage: false };

/**
 * @param requeued how often it was taken back before
 * @returns whether it was taken back instead, with not a byte answered: it may wait again
 * @throws Fault or ClientGone when it fails; nothing was answered then unless `headersSent`
 */
export async function serveAdmitted(
  parts: GenerationParts,
  talk: Conversation,
  understood: Understood,
  admitted: Admitted,
  requeued: number,
): Promise<'served' | 'taken-back'> {
  const { lease, instance } = admitted;
  const { attempt, over } = parts.recalls.begin(lease, talk.response, talk.abort);
  try {
    const { scanned, shape } = understood;
    // The engine that was chosen may have its own way with this path.
    const route = routeIn(instance.adapter, scanned.route.path) ?? scanned.route;
    const rewrite = admitted.observed
      ? UNTOUCHED
      : instance.adapter.rewrite({ ...scanned, route }, shape, admitted.decision.grant);
    const progress = parts.settlement.begin(
      admitted,
      shape,
      scanned.route.path,
      rewrite.changed.length > 0,
    );
    const forwarding = forwardingOf(parts, talk, understood, {
      admitted,
      route,
      rewrite,
      onTokens: progress.tokens,
      abort: attempt,
      requeued,
    });
    const ended = await forwardGeneration(forwarding, talk.response);
    lease.end();
    if (ended.how === 'complete') progress.complete(ended);
    return 'served';
  } catch (error) {
    if (error instanceof Fault && error.engineIsFree) lease.end();
    // It is sent again only once there is room beside its old lease, which counts until its engine
    // has let go: no memory is promised twice, and where there is none to spare it never runs twice.
    if (isTakenBack(error) && !talk.response.headersSent) return 'taken-back';
    noteFailure(parts, instance.name, error, talk.response.headersSent);
    throw error;
  } finally {
    over();
    if (lease.state === 'open') parts.drains.drain(lease);
  }
}

function isTakenBack(error: unknown): boolean {
  return error instanceof Fault && error.code === 'taken_back';
}

function forwardingOf(
  parts: GenerationParts,
  { id, message }: Conversation,
  { scanned, shape, disclosedPriority }: Understood,
  sending: {
    readonly admitted: Admitted;
    readonly route: GenerationRoute;
    readonly rewrite: Rewrite;
    readonly onTokens: Forwarding['onTokens'];
    /** Ends this attempt. */
    readonly abort: AbortController;
    readonly requeued: number;
  },
): Forwarding {
  const { admitted, route, rewrite, onTokens, abort, requeued } = sending;
  const { instance } = admitted;
  const { adapter } = instance;
  const disclosure: Disclosure = {
    requestId: id,
    route,
    shape,
    admitted,
    changed: rewrite.changed,
    skipped: rewrite.skipped,
    cacheKey: cacheKeyOf(scanned.body, scanned.object),
    requeued,
    priority: disclosedPriority,
  };
  return {
    upstream: parts.upstreamOf(instance.name),
    adapter,
    route,
    path: message.url ?? route.path,
    headers: { ...forwardedHeaders(parts.tenants, message), ...rankHeaders(instance) },
    body: splicedPieces(scanned.body, scanned.object, rewrite.edits),
    streams: shape.stream,
    withholdsUsage: rewrite.asksForUsage,
    disclosed: disclosureHeaders(disclosure),
    transform:
      // `metadata` of a response is the client's own, echoed.
      parts.responseMetadata && !shape.stream && route.api !== 'responses'
        ? (answer, read) => withMetadata(answer, read, disclosure, adapter)
        : null,
    share: parts.share,
    timeouts: parts.timeouts,
    abort,
    onTokens,
  };
}

function forwardedHeaders(
  tenants: Tenants,
  message: IncomingMessage,
): Record<string, string | string[]> {
  const headers = endToEnd(message.headers, NOT_FORWARDED);
  // A key that kvgate itself verified is not the backend's business.
  if (tenants.verifies) {
    delete headers.authorization;
    delete headers['x-api-key'];
  }
  return { ...headers, 'accept-encoding': 'identity' };
}

/** Pins the request to the data-parallel rank whose pool its lease was taken from. */
function rankHeaders({ adapter, rank }: Instance): Readonly<Record<string, string>> {
  const name = adapter?.rankHeader ?? null;
  return name === null || rank === null ? {} : { [name]: String(rank) };
}

/** Counts who ended the request, tells of an overrun, and looks at once after a backend that failed. */
function noteFailure(
  parts: GenerationParts,
  instance: string,
  error: unknown,
  answering: boolean,
): void {
  if (error instanceof ClientGone) parts.settlement.cancelled('client');
  if (!(error instanceof Fault)) return;
  if (error.overrun !== null) parts.headrooms.signal(instance, error.overrun);
  switch (error.code) {
    case 'cancelled':
      parts.settlement.cancelled('operator');
      return;
    case 'draining':
      parts.settlement.cancelled('drain');
      return;
    case 'backend_failed':
    case 'backend_timeout':
    case 'backend_loading':
      if (answering) parts.settlement.cancelled('backend');
      void parts.engines.probeNow(instance);
      return;
    case 'backend_suspect':
      if (answering) parts.settlement.cancelled('backend');
      parts.engines.suspect(instance, error.message);
      return;
    case 'memory_exhausted':
      parts.settlement.cancelled('brake');
      return;
    case 'taken_back':
    case 'backend_busy':
      return;
  }
}
