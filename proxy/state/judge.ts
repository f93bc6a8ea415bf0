/**
 * Looks at the world as it is now and lets policy decide on a request. Takes
 * nothing. Exact tokens are worth counting only where the two ends of the
 * estimate would be decided differently.
 */
import { decide } from '../policy/decide.ts';
import { sameOutcome } from '../policy/outcomes.ts';
import type {
  DecideInput,
  Decision,
  PolicyConfig,
  Priority,
  RequestShape,
  TokenBounds,
  Waiting,
} from '../policy/types.ts';
import type { Clock } from './clock.ts';
import type { CountPrompt } from './counts/prompt-counts.ts';
import type { LengthForecasts } from './lengths/length-forecasts.ts';
import type { Log } from './log.ts';
import { isServing, type Pools, type ServingInstance } from './pools.ts';
import type { Resumed } from './resumed.ts';
import type { Sessions } from './sessions.ts';
import type { Views } from './views.ts';

export interface AdmissionRequest {
  readonly id: string;
  /** Only engines that serve it are asked. */
  readonly path: string;
  readonly shape: RequestShape;
  /** `key` tells sessions apart and includes the tenant; `id` is what the client sent. */
  readonly session: { readonly key: string; readonly id: string } | null;
  readonly neverDegrade: boolean;
  /** Whose request it is: those who wait are served fairly by tenant. Opaque, never logged. */
  readonly tenant: string;
  readonly priority: Priority;
  /** It was taken back from an engine; left out where it was not. */
  readonly resumed?: Resumed;
  /** Counts the prompt, exactly where that can be had; null where nobody can. */
  readonly countTokens: CountPrompt | null;
}

/** Those who wait, as far as a decision must respect them. */
export interface Line {
  readonly length: number;
  /** It has not been empty for long: more requests come than can be served. */
  readonly isStanding: boolean;
  /** Whoever is decided on stands in it, and its turn has come; left out: it is a newcomer. */
  readonly own?: true;
  readonly waitingFor: (pool: string) => readonly Waiting[];
}

export interface JudgeParts {
  readonly pools: Pools;
  readonly sessions: Sessions;
  readonly views: Views;
  readonly lengths: LengthForecasts;
  readonly clock: Clock;
  readonly log: Log;
  readonly policy: PolicyConfig;
}

export interface FirstDecision {
  /** At the upper bound of the prompt. */
  readonly decision: Decision;
  /** Counts the prompt, for it to be decided again; null where that would change nothing. */
  readonly countTokens: CountPrompt | null;
}

export class Judge {
  readonly #parts: JudgeParts;

  constructor(parts: JudgeParts) {
    this.#parts = parts;
  }

  /** The decision at this moment for a request of so many prompt tokens at most. */
  decide(request: AdmissionRequest, bounds: TokenBounds, line: Line): Decision {
    return decide(this.#look(request, bounds, line));
  }

  /**
   * The decision on a request by the bounds it came with, and whether an exact
   * count might change it: both ends of the bounds are decided on as of one moment.
   */
  first(request: AdmissionRequest, line: Line): FirstDecision {
    const bounds = request.shape.promptTokens;
    const input = this.#look(request, bounds, line);
    const decision = decide(input);
    const { lo, hi, source } = bounds;
    // An engine's count may leave out what its model's images take.
    const { countTokens } = request;
    if (countTokens === null || lo === hi || source === 'media') {
      return { decision, countTokens: null };
    }
    // Whoever has to wait has the time to be counted, and may then need less.
    const countMatters =
      decision.action === 'queue' || !sameOutcome(decide({ ...input, promptTokens: lo }), decision);
    return { decision, countTokens: countMatters ? countTokens : null };
  }

  /** The request at its upper bound in the world as it is now. */
  #look(request: AdmissionRequest, bounds: TokenBounds, line: Line): DecideInput {
    const { views, sessions, lengths, policy, clock } = this.#parts;
    this.refreshLevels();
    const outputTokens = lengths.forecastOf(request.shape, request.path, bounds);
    return {
      shape: request.shape,
      estimate: { promptTokens: bounds, outputTokens },
      outputLengths: lengths.curveFor(request.shape, request.path, bounds),
      promptTokens: bounds.hi,
      session: request.session === null ? null : sessions.view(request.session.key),
      neverDegrade: request.neverDegrade,
      pools: views.pools(request.path, line.waitingFor),
      queueLength: line.length,
      isQueueStanding: line.isStanding,
      waits: line.own === true,
      nowMs: clock.nowMs(),
      config: policy,
    };
  }

  /** Brings every instance's level up to date with ledger and readings. */
  refreshLevels(): void {
    for (const instance of this.#parts.pools.instances) {
      if (isServing(instance)) this.#refreshLevel(instance);
    }
  }

  #refreshLevel(instance: ServingInstance): void {
    const { views, log } = this.#parts;
    const { before, after } = views.refreshLevel(instance);
    if (before !== after) log.info(`Memory pressure ${after}`, { instance: instance.name, before });
  }
}
