/** What the handlers of generation requests work with. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GenerationRoute } from '../../backend-adapters/adapter.ts';
import type { Admission } from '../state/admission.ts';
import type { Clock } from '../state/clock.ts';
import type { CountWitnesses } from '../state/counts/count-witnesses.ts';
import type { PromptCounts } from '../state/counts/prompt-counts.ts';
import type { Drains } from '../state/drains.ts';
import type { EngineMonitor } from '../state/engine-monitor.ts';
import type { Headrooms } from '../state/headrooms.ts';
import type { Log } from '../state/log.ts';
import type { Pools } from '../state/pools.ts';
import type { Exchanges } from './exchanges.ts';
import type { ForwardTimeouts } from './forwarding.ts';
import type { BodyLimits } from './read-body.ts';
import type { Recalls } from './recalls.ts';
import type { Settlement } from './settle.ts';
import type { Tenants } from './tenants.ts';
import type { Upstream } from './upstream.ts';

export interface GenerationParts extends BodyLimits {
  readonly pools: Pools;
  readonly promptCounts: PromptCounts;
  readonly countWitnesses: CountWitnesses;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly engines: EngineMonitor;
  readonly headrooms: Headrooms;
  readonly exchanges: Exchanges;
  readonly recalls: Recalls;
  readonly tenants: Tenants;
  readonly settlement: Settlement;
  readonly log: Log;
  readonly clock: Clock;
  readonly upstreamOf: (instance: string) => Upstream;
  readonly timeouts: ForwardTimeouts;
  readonly responseMetadata: boolean;
}

/** One request while it is handled. */
export interface Conversation {
  readonly id: string;
  /** Ends it on both sides; the reason says why. */
  readonly abort: AbortController;
  /** null: the API key is missing or wrong. */
  readonly tenant: string | null;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: GenerationRoute;
}
