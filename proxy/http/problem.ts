/**
 * The one table from what went wrong to what a client is told: rejections
 * (values with a reason) and faults (exceptions with a code) alike.
 */
import type { RejectDecision, RejectReason } from '../policy/types.ts';

export interface Problem {
  readonly status: number;
  /** Stable, for programs. */
  readonly code: string;
  readonly message: string;
  /** The offending field of the body, where there is one. */
  readonly param: string | null;
  /** When to come back: a time, `never` (retrying can't help), or nothing is said. */
  readonly retry: { readonly afterMs: number } | 'never' | 'unsaid';
}

export type FaultCode =
  | 'backend_failed'
  | 'backend_timeout'
  | 'backend_loading'
  | 'backend_busy'
  | 'cancelled'
  | 'draining';

export interface FaultDetail {
  /** The original error. */
  readonly cause?: unknown;
  /** Whether the engine surely holds nothing of the request: it never had it, or it is done with it. */
  readonly engineIsFree?: boolean;
}

/** A fault on the way to the backend or at it, or an end from outside. `code` is stable. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly engineIsFree: boolean;

  constructor(code: FaultCode, message: string, { cause, engineIsFree = false }: FaultDetail = {}) {
    super(message, { cause });
    this.name = 'Fault';
    this.code = code;
    this.engineIsFree = engineIsFree;
  }
}

/** The client left, or stopped reading: there is nobody to be answered. */
export class ClientGone extends Error {
  readonly code = 'client_gone';

  constructor(how: 'closed its connection' | 'stopped reading') {
    super(`the client ${how}`);
    this.name = 'ClientGone';
  }
}

/** Why an exchange broke off: what aborted it, or else a fault of its backend. */
export function whyBroken(error: unknown, signal: AbortSignal): Fault | ClientGone {
  const cause: unknown = signal.aborted ? signal.reason : error;
  if (cause instanceof Fault || cause instanceof ClientGone) return cause;
  return new Fault('backend_failed', 'the backend broke off its answer', { cause });
}

interface Row {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retriable: boolean;
}

const REJECTIONS: Readonly<Record<RejectReason, Row>> = {
  never_fits: {
    status: 400,
    code: 'context_length_exceeded',
    message:
      'This request can never fit: its prompt and the smallest useful output need more KV memory or context than any backend has.',
    retriable: false,
  },
  session_kv_limit: {
    status: 400,
    code: 'session_kv_limit',
    message: 'This request alone needs more KV memory than its session may hold.',
    retriable: false,
  },
  session_busy: {
    status: 429,
    code: 'session_kv_limit',
    message: 'Other requests of this session hold its KV memory; try again when they are done.',
    retriable: true,
  },
  memory_pressure: {
    status: 429,
    code: 'slow_down',
    message: 'GPU memory is in use by other requests; try again later.',
    retriable: true,
  },
  queue_full: {
    status: 429,
    code: 'queue_full',
    message: 'GPU memory is in use and the queue is full; try again later.',
    retriable: true,
  },
  queue_deadline: {
    status: 429,
    code: 'slow_down',
    message: 'No GPU memory became free before the deadline of the queue; try again later.',
    retriable: true,
  },
  no_healthy_instance: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'No backend is healthy at the moment.',
    retriable: true,
  },
  telemetry_blind: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'GPU memory cannot be read at the moment, so nothing is admitted.',
    retriable: true,
  },
  draining: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'This server is shutting down.',
    retriable: true,
  },
};

const FAULTS: Readonly<Record<FaultCode, Row>> = {
  backend_failed: {
    status: 502,
    code: 'backend_failed',
    message: 'The backend failed.',
    retriable: true,
  },
  backend_timeout: {
    status: 504,
    code: 'backend_timeout',
    message: 'The backend did not answer in time.',
    retriable: true,
  },
  backend_loading: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'The backend is still loading its model.',
    retriable: true,
  },
  backend_busy: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'The backend is busy.',
    retriable: true,
  },
  cancelled: {
    // Not in any RFC, but what proxies and Ollama call a request that was cancelled.
    status: 499,
    code: 'request_cancelled',
    message: 'The request was cancelled by the operator.',
    retriable: false,
  },
  draining: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'This server is shutting down.',
    retriable: true,
  },
};

/** Said when nothing is known of when it will be better. */
const UNKNOWN_WAIT_MS = 5_000;

export function problemOfRejection(decision: RejectDecision): Problem {
  const problem = told(REJECTIONS[decision.reason], decision.retryAfterMs ?? UNKNOWN_WAIT_MS);
  if (problem.status !== 400) return problem;
  // Where nothing can count them exactly, these are the most that the bytes can be.
  const tokens = decision.promptTokens.toLocaleString('en');
  return { ...problem, message: `${problem.message} (Up to ${tokens} prompt tokens.)` };
}

export function problemOfFault(fault: Fault): Problem {
  return told(FAULTS[fault.code], UNKNOWN_WAIT_MS);
}

/** Nobody is there to serve the request. */
export function noBackend(): Problem {
  return told(REJECTIONS.no_healthy_instance, UNKNOWN_WAIT_MS);
}

/** The process takes no new work. */
export function shuttingDown(): Problem {
  return told(REJECTIONS.draining, UNKNOWN_WAIT_MS);
}

function told({ retriable, ...row }: Row, afterMs: number): Problem {
  return { ...row, param: null, retry: retriable ? { afterMs } : 'never' };
}

export function invalidRequest(message: string, param: string | null = null): Problem {
  return { status: 400, code: 'invalid_request_error', message, param, retry: 'never' };
}

/** Any other refusal that a retry of the same request can't mend. */
export function refusal(status: number, code: string, message: string): Problem {
  return { status, code, message, param: null, retry: 'never' };
}

/** All buffers are in use by other requests' bodies. */
export function buffersFull(): Problem {
  return {
    status: 503,
    code: 'server_is_overloaded',
    message: 'Too many request bodies are being read at the moment; try again later.',
    param: null,
    retry: { afterMs: 1_000 },
  };
}
