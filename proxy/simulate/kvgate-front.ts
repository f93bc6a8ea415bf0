/** kvgate itself in a simulation: production's admission, settled as production settles. */
import { setMaxListeners } from 'node:events';
import { contextTokensOf } from '../memory/charge.ts';
import { endedBy } from '../policy/ended-by.ts';
import { assertNever, type Decision, type Level } from '../policy/types.ts';
import type { AdmissionResult, Admitted } from '../state/admission-result.ts';
import type { Clock } from '../state/clock.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import type { Lease } from '../state/lease.ts';
import type { LengthForecasts } from '../state/lengths/length-forecasts.ts';
import { resumedRequest } from '../state/resumed.ts';
import type { Ended, Front, Stage } from './front.ts';
import { Ghosts } from './ghosts.ts';
import { HeardDecisions, levelLog } from './hearing.ts';
import { INSTANCE, type Member } from './instance.ts';
import { noMetrics } from './no-metrics.ts';
import { type Recall, Recalls } from './recalls.ts';
import type { SimulatedRequest } from './workload.ts';
import { composeWorld, type Rules, type World } from './world.ts';

/** No client leaves in a simulation; each that waits listens. */
const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);

export interface KvgateFrontParts {
  readonly members: readonly Member[];
  readonly rules: Rules;
  readonly clock: Clock;
  readonly stage: Stage;
  readonly lengths: LengthForecasts;
  /** What a request asks for. */
  readonly asked: (request: SimulatedRequest) => AdmissionRequest;
  readonly onLevel: () => void;
  /** Hears of each decision, those on who has waited included. */
  readonly onDecided?: (request: SimulatedRequest, decision: Decision) => void;
}

interface Flight {
  readonly admitted: Admitted;
  readonly asked: AdmissionRequest;
}

export class KvgateFront implements Front {
  readonly #parts: KvgateFrontParts;
  readonly #world: World;
  readonly #flights = new Map<number, Flight>();
  readonly #byId = new Map<string, SimulatedRequest>();
  readonly #byLease = new Map<Lease, SimulatedRequest>();
  readonly #recalls = new Recalls((lease, how) => {
    this.#isDue = true;
    void this.#recall(lease, how, true);
  });
  readonly #ghosts: Ghosts;
  /** Something was decided whose promise has not come through yet. */
  #isDue = false;

  constructor(parts: KvgateFrontParts) {
    this.#parts = parts;
    const heard = new HeardDecisions((request, decision) => this.#decided(request, decision));
    this.#world = composeWorld(parts.members, parts.rules, {
      clock: parts.clock,
      log: levelLog(parts.onLevel),
      metrics: noMetrics,
      decisionLog: heard,
      lengths: parts.lengths,
      recalls: this.#recalls,
      onFreed: () => this.#ghosts.look(),
    });
    this.#ghosts = new Ghosts(this.#world.judge, parts.clock);
  }

  get waiting(): number {
    return this.#world.admission.queueLength;
  }

  get level(): Level {
    return this.#world.levels.level(INSTANCE);
  }

  /** Of refused requests: when each was told to come back, and when it would have been let in. */
  get retryErrors(): readonly number[] {
    return this.#ghosts.errors;
  }

  arrived(request: SimulatedRequest): void {
    const asked = this.#parts.asked(request);
    this.#byId.set(asked.id, request);
    this.#isDue = true;
    void this.#admit(request, asked);
  }

  generated({ index }: SimulatedRequest, tokens: number): void {
    this.#flights.get(index)?.admitted.lease.generated(tokens);
  }

  ended(request: SimulatedRequest, ended: Ended): void {
    const flight = this.#flights.get(request.index);
    if (flight === undefined) return;
    const { lease } = flight.admitted;
    this.#flights.delete(request.index);
    this.#byLease.delete(lease);
    if (ended.how === 'finished') lease.generated(ended.outputTokens);
    lease.end();
    if (ended.how === 'finished') this.#learn(request, flight, ended);
  }

  poll(): void {
    this.#world.poll();
    this.#ghosts.look();
  }

  settle(timersRan: boolean): Promise<void> | null {
    if (!this.#isDue && !timersRan) return null;
    this.#isDue = false;
    return new Promise((resolve) => setImmediate(resolve));
  }

  async #admit(request: SimulatedRequest, asked: AdmissionRequest): Promise<void> {
    this.#answered(request, asked, await this.#world.admission.admit(asked, NEVER));
  }

  #answered(request: SimulatedRequest, asked: AdmissionRequest, result: AdmissionResult): void {
    const { stage } = this.#parts;
    this.#byId.delete(asked.id);
    switch (result.outcome) {
      case 'admitted': {
        const { admitted } = result;
        this.#flights.set(request.index, { admitted, asked });
        this.#byLease.set(admitted.lease, request);
        const limit = asked.shape.requestedOutputTokens ?? request.askedTokens;
        stage.start(request, admitted.decision.grant.outputTokens ?? limit, admitted.instance.name);
        const recalled = this.#recalls.started(admitted.lease);
        if (recalled !== null) void this.#recall(admitted.lease, recalled, false);
        return;
      }
      case 'rejected':
        stage.refused(request, result.decision.reason, result.decision.retryAfterMs);
        return;
      case 'abandoned':
        throw new Error('no client leaves in a simulation');
      default:
        assertNever(result);
    }
  }

  /** As handle-generation.ts does with a request that was taken back, or ended for want of memory. */
  async #recall(lease: Lease, how: Recall, wasSent: boolean): Promise<void> {
    // Its connection breaks off first: the brake is not called again by what it does.
    await Promise.resolve();
    const request = this.#byLease.get(lease);
    const flight = request === undefined ? undefined : this.#flights.get(request.index);
    if (request === undefined || flight === undefined) return;
    const { stage, clock } = this.#parts;
    this.#flights.delete(request.index);
    this.#byLease.delete(lease);
    stage.cancel(request, how);
    if (wasSent) this.#world.drains.drain(lease);
    else lease.end();
    this.#isDue = true;
    if (how === 'cut') return;
    const resumed = resumedRequest(flight.asked, flight.admitted, clock.nowMs());
    this.#byId.set(resumed.id, request);
    const { admission } = this.#world;
    this.#answered(request, resumed, await admission.readmit(resumed, flight.admitted, NEVER));
  }

  /** In the same step as each decision, those on who wait included. */
  #decided(asked: AdmissionRequest, decision: Decision): void {
    this.#isDue = true;
    this.#ghosts.decided(asked, decision);
    const request = this.#byId.get(asked.id);
    if (request !== undefined) this.#parts.onDecided?.(request, decision);
    if (request !== undefined && decision.action === 'queue') {
      this.#parts.stage.queued(request, decision.predictedWaitMs);
    }
  }

  /** As http/settle.ts tells the learners of a request that ran to its end. */
  #learn(request: SimulatedRequest, { admitted, asked }: Flight, ended: Ended): void {
    const { decision, instance, lease } = admitted;
    const { promptTokens } = request;
    const { outputTokens, ttftMs, totalMs } = ended;
    const limits = {
      asked: asked.shape.requestedOutputTokens,
      set: decision.grant.outputTokens,
      room: contextTokensOf(lease.terms.layout) - promptTokens,
    };
    for (const learn of this.#world.learners) {
      learn({
        requestId: asked.id,
        instance: instance.name,
        path: asked.path,
        shape: asked.shape,
        decision,
        layout: lease.terms.layout,
        told: { promptTokens, cachedTokens: null },
        ttftMs,
        totalMs,
        outputTokens,
        endedBy: endedBy(outputTokens, limits),
        promptTokens,
      });
    }
  }
}
