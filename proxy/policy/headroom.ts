/**
 * Dynamic thresholds: the share of an instance's capacity that leases may fill
 * together. It moves by additive increase and multiplicative decrease (AIMD;
 * Chiu and Jain 1989: of the linear rules this one comes to a stable point)
 * between a hard lower limit and 1, where the fixed values hold.
 *
 *   on a signal:         share = max(MIN_SHARE, share x factor of the signal)
 *   each quiet cooldown: share = min(1, share + RISE)
 *
 * One cut a cooldown: what overran was admitted before the first sign of it,
 * and a cut is felt only once running requests end, so all signs of one burst
 * are one. Of a burst the strongest signal counts: when a stronger one follows
 * inside the cooldown, only what it asks for beyond the first is cut as well.
 * A signal inside the cooldown also begins the quiet anew.
 */

/** What an engine shows when it was given too much. Retractions (SGLang) are preemptions. */
export type HeadroomSignal = 'preemption' | 'overflow' | 'oom' | 'death' | 'brake';

export interface HeadroomState {
  /** From `MIN_HEADROOM_SHARE` to 1. */
  readonly share: number;
  /** The burst that was cut for last, and the strongest factor that was applied for it. */
  readonly burst: { readonly sinceMs: number; readonly factor: number } | null;
  /** Since when it is quiet: the last signal, or the last rise. */
  readonly quietSinceMs: number;
}

/** Below half, refusing costs more than what any overrun could. */
export const MIN_HEADROOM_SHARE = 0.5;

/** About as long as usual requests run: a cut has had its effect by then. */
export const HEADROOM_COOLDOWN_MS = 10_000;

/** A preemption's cut is made good in 50 s, the whole range in 250 s. */
const RISE = 0.02;

/**
 * By what it cost: a preemption or a brake costs time, an overflow every request
 * in flight, an engine's end a new start, and out of memory also tells that the
 * estimate itself was short.
 */
const FACTORS: Readonly<Record<HeadroomSignal, number>> = {
  preemption: 0.9,
  brake: 0.9,
  overflow: 0.8,
  death: 0.8,
  oom: 0.7,
};

/** The fixed values. */
export function fullHeadroom(nowMs: number): HeadroomState {
  return { share: 1, burst: null, quietSinceMs: nowMs };
}

/** The state after a signal. */
export function cutHeadroom(
  state: HeadroomState,
  signal: HeadroomSignal,
  nowMs: number,
): HeadroomState {
  const factor = FACTORS[signal];
  const { burst } = state;
  if (burst === null || nowMs - burst.sinceMs >= HEADROOM_COOLDOWN_MS) {
    const share = bounded(state.share * factor);
    return { share, burst: { sinceMs: nowMs, factor }, quietSinceMs: nowMs };
  }
  if (factor >= burst.factor) return { ...state, quietSinceMs: nowMs };
  const share = bounded((state.share * factor) / burst.factor);
  return { share, burst: { ...burst, factor }, quietSinceMs: nowMs };
}

/** The state after the quiet until now: one rise for each whole cooldown of it. */
export function raiseHeadroom(state: HeadroomState, nowMs: number): HeadroomState {
  const rises = Math.floor((nowMs - state.quietSinceMs) / HEADROOM_COOLDOWN_MS);
  if (rises <= 0 || state.share >= 1) return state;
  return {
    ...state,
    share: bounded(state.share + rises * RISE),
    quietSinceMs: state.quietSinceMs + rises * HEADROOM_COOLDOWN_MS,
  };
}

/** To the ten-thousandth, so that sums of steps do end at 1. */
function bounded(share: number): number {
  const rounded = Math.round(share * 10_000) / 10_000;
  return Math.min(1, Math.max(MIN_HEADROOM_SHARE, rounded));
}
