/** How an exchange can fail: at the backend, from outside, or for want of a client. */

export type FaultCode =
  | 'backend_failed'
  | 'backend_timeout'
  | 'backend_loading'
  | 'backend_busy'
  | 'backend_suspect'
  /** Memory was short before its answer began: it waits again. */
  | 'taken_back'
  /** Memory ran out while it was answered, and nobody else could go. */
  | 'memory_exhausted'
  | 'cancelled'
  | 'draining';

/** Signs that the engine was given too much. */
export type Overrun = 'overflow' | 'oom' | 'death';

export interface FaultDetail {
  /** The original error. */
  readonly cause?: unknown;
  /** Whether the engine surely holds nothing of the request: it never had it, or it is done with it. */
  readonly engineIsFree?: boolean;
  /** null: no sign of one. */
  readonly overrun?: Overrun | null;
}

/** A fault on the way to the backend or at it, or an end from outside. `code` is stable. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly engineIsFree: boolean;
  readonly overrun: Overrun | null;

  constructor(
    code: FaultCode,
    message: string,
    { cause, engineIsFree = false, overrun = null }: FaultDetail = {},
  ) {
    super(message, { cause });
    this.name = 'Fault';
    this.code = code;
    this.engineIsFree = engineIsFree;
    this.overrun = overrun;
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
