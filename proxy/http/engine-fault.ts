/** From an engine's own words for a failure to the fault that the client and the monitor see. */
import type { ErrorClass } from '../../backend-adapters/adapter.ts';
import { Fault, type FaultCode, type Overrun } from './fault.ts';

/** Failures only: `client` and `too-long` are the caller's, and are answered as such. */
const CODES: Readonly<Record<Exclude<ErrorClass, 'client' | 'too-long'>, FaultCode>> = {
  loading: 'backend_loading',
  busy: 'backend_busy',
  overflow: 'backend_failed',
  oom: 'backend_suspect',
  dying: 'backend_suspect',
  fault: 'backend_failed',
};

const OVERRUNS: Readonly<Partial<Record<ErrorClass, Overrun>>> = {
  overflow: 'overflow',
  oom: 'oom',
  dying: 'death',
};

const MAX_DETAIL_CHARS = 200;

/**
 * The engine has answered, so it holds nothing of the request any more.
 * @param text the engine's words; only their beginning is kept
 */
export function engineFault(kind: ErrorClass, text: string): Fault {
  const code = kind === 'client' || kind === 'too-long' ? 'backend_failed' : CODES[kind];
  const detail = `${kind}: ${text.slice(0, MAX_DETAIL_CHARS)}`;
  const overrun = OVERRUNS[kind] ?? null;
  return new Fault(code, detail, { engineIsFree: true, overrun });
}

/** The message inside an engine's error, whatever its shape; its text where it has none. */
export function engineWords(text: string): string {
  const words = messageIn(parsed(text)) ?? text;
  return words.slice(0, MAX_DETAIL_CHARS).trim();
}

function messageIn(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return null;
  for (const key of ['error', 'message', 'detail']) {
    if (!Object.hasOwn(value, key)) continue;
    const found = messageIn((value as Readonly<Record<string, unknown>>)[key]);
    if (found !== null) return found;
  }
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
