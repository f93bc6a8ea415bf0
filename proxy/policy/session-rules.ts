/** Limits of one session's KV, and which idle sessions have to go. */
import type { SessionView } from './types.ts';

export type SessionVerdict =
  | 'within'
  /** The request alone is more than a session may hold. */
  | 'alone_over'
  /** Over the limit because of the session's own other live requests. */
  | 'busy';

/**
 * Judges a request against its session's limit. The session holds the union of
 * its live and resident blocks: a chat's next prompt repeats the prefix that is
 * resident, so resident bytes count only as far as they exceed the live ones.
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

/** KV bytes of a session: the union of what its requests hold and what the engine kept. */
export function sessionKvBytes(session: SessionView): number {
  return Math.max(session.liveBytes, session.residentBytes);
}
