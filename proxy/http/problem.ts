/**
 * The one table from what went wrong to what a client is told: rejections
 * (values with a reason) and faults (exceptions with a code) alike.
 */
import type { RejectDecision, RejectReason } from '../policy/types.ts';
import type { Fault, FaultCode } from './fault.ts';

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
  backend_suspect: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'The backend failed and gets no work until it has shown that it can generate.',
    retriable: true,
  },
  // Told only if it can't wait again: otherwise its client learns nothing of it.
  taken_back: {
    status: 503,
    code: 'server_is_overloaded',
    message: 'GPU memory was short before the answer began; try again later.',
    retriable: true,
  },
  memory_exhausted: {
    status: 503,
    code: 'memory_exhausted',
    message:
      "The server's GPU memory ran out while this answer was being written, so it was cut short; the request may be retried.",
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

/** The engine itself refuses the request as too long, in its own words. */
export function tooLong(words: string): Problem {
  const { status, code } = REJECTIONS.never_fits;
  const message = `The backend takes no request this long: ${words}`;
  return { status, code, message, param: null, retry: 'never' };
}

/** Any other refusal that a retry of the same request can't mend. */
export function refusal(status: number, code: string, message: string): Problem {
  return { status, code, message, param: null, retry: 'never' };
}

/** Each upgraded connection is held as long as its client likes, so there is a limit to them. */
export function tooManyUpgrades(): Problem {
  return {
    status: 503,
    code: 'server_is_overloaded',
    message: 'Too many WebSockets are open; try again later.',
    param: null,
    retry: { afterMs: UNKNOWN_WAIT_MS },
  };
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
