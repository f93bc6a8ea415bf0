/** The limit of one session's KV, and what a session holds of it. */
import { type KvLayout, steadyKvBytes } from '../memory/kv-layout.ts';
import type { Charge, SessionView } from './types.ts';

export type SessionVerdict =
  | 'within'
  /** The request alone is more than a session may hold. */
  | 'alone_over'
  /** Over the limit because of the session's own other live requests. */
  | 'busy';

/**
 * Judges a request against its session's limit. A chat's next prompt repeats
 * the prefix that is resident, so resident bytes are taken to be among the
 * request's own; whatever else is resident can be evicted and refuses nothing.
 *
 * @param kvBytes the request's KV at its end; null (geometry unknown) limits nothing.
 */
export function judgeSession(
  session: SessionView | null,
  kvBytes: number | null,
  limitBytes: number,
): SessionVerdict {
  if (session === null || kvBytes === null) return 'within';
  if (kvBytes > limitBytes) return 'alone_over';
  return session.liveBytes + kvBytes > limitBytes ? 'busy' : 'within';
}

/** KV bytes of a session: the union of what its requests hold and what the engine kept for them. */
export function sessionKvBytes(session: SessionView): number {
  return Math.max(session.liveBytes, session.residentBytes);
}

/**
 * KV bytes of a finished request that its engine keeps for reuse. A dynamic
 * server frees them with the request; pools keep them as a prefix.
 * @param generatedTokens of one sequence
 */
export function residentKvBytes(layout: KvLayout, charge: Charge, generatedTokens: number): number {
  const { kvBytes, promptTokens, sequences } = charge;
  if (layout.model === 'dynamic' || layout.spec === null || kvBytes === null) return 0;
  const tokens = promptTokens + generatedTokens * sequences;
  return Math.min(kvBytes, steadyKvBytes(layout.spec, tokens, layout.kvBytesPerElement));
}
