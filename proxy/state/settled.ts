/** A request that ran to its end, with what was estimated of it and what it came to: all that can be learned from. */
import type { KvLayout } from '../memory/kv-layout.ts';
import type { EndedBy } from '../policy/ended-by.ts';
import type { AdmitDecision, RequestShape } from '../policy/types.ts';
import type { Timing } from './speeds.ts';

/** What became of one sequence of it; of several, what is the mean. */
export interface Settled extends Timing {
  readonly endedBy: EndedBy;
}

export interface SettledRequest extends Settled {
  readonly requestId: string;
  readonly instance: string;
  /** The route it came in by. */
  readonly path: string;
  /** As asked for. */
  readonly shape: RequestShape;
  /** As admitted: its charge, what it was granted, and the estimate that stood behind both. */
  readonly decision: AdmitDecision;
  readonly layout: KvLayout;
  /** In the engine's own words; null where it does not tell. */
  readonly told: { readonly promptTokens: number | null; readonly cachedTokens: number | null };
}

/** Called once for each; must not throw, and has no say in anything. */
export type Learner = (settled: SettledRequest) => void;
