/**
 * The emergency brake of each instance whose overrun would hurt: looks whether
 * its memory lasts whenever requests grow and readings come in, and makes
 * requests go before the engine has to. While it is on nothing is admitted there.
 */
import { type BrakeLimits, lookaheadTokens, overrunHurts, planBrake } from '../policy/brake.ts';
import type { BrakeAction, BrakeEffects } from './brake-effects.ts';
import { BrakeLeases, type WatchedLease } from './brake-leases.ts';
import { causeOf, isOutdated, nothingWatched, type Watched } from './brake-watch.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { Headrooms } from './headrooms.ts';
import { tagsOf } from './instance-tags.ts';
import type { Lease } from './lease.ts';
import { growthOf } from './lease-growth.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { type Instance, isServing, type Pools, type ServingInstance } from './pools.ts';
import type { Speeds } from './speeds.ts';
import { foreseenUnits, NOTHING_UNEXPLAINED, unexplainedUnits } from './unexplained.ts';

export interface BrakeParts {
  readonly pools: Pools;
  readonly ledger: Ledger;
  readonly capacities: Pick<Capacities, 'endOf'>;
  readonly speeds: Speeds;
  readonly headrooms: Pick<Headrooms, 'signal'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'brakeActed'>;
  /** `observe`: it changes nothing, so there is no brake. */
  readonly mode: 'enforce' | 'observe';
}

export class Brake {
  readonly #parts: BrakeParts;
  readonly #watched = new Map<string, Watched>();
  readonly #leases: BrakeLeases;

  constructor(parts: BrakeParts) {
    this.#parts = parts;
    this.#leases = new BrakeLeases(parts);
    if (parts.mode === 'observe') return;
    parts.ledger.onGrown((lease, heldDelta) => this.#grown(lease, heldDelta));
    parts.ledger.onTurn((lease, turn) => {
      if (turn === 'taken') this.#taken(lease);
      if (turn === 'ended') this.#ended(lease);
    });
  }

  /** Until then it holds back what waits, and makes nobody go. */
  actThrough(effects: BrakeEffects): void {
    this.#leases.actThrough(effects);
  }

  /** Whether nothing may be admitted to the instance. */
  isOn(instance: string): boolean {
    return this.#watched.get(instance)?.isOn ?? false;
  }

  /** A new reading of an engine is in. */
  readingTaken(instance: Instance): void {
    if (this.#parts.mode === 'observe') return;
    if (!isServing(instance) || !overrunHurts(instance.facts.layout)) return;
    const { ledger, speeds } = this.#parts;
    const watched = this.#of(instance.name);
    const leftAtMs = (lease: Lease) => this.#leases.leftAtMs(lease);
    const now = unexplainedUnits(instance, ledger, speeds, leftAtMs);
    watched.foreseenUnits = foreseenUnits(watched.unexplained, now);
    watched.unexplained = now;
    this.#look(instance.name);
  }

  /** New readings of the GPUs are in: what leases may fill may have changed everywhere. */
  gpusRead(): void {
    if (this.#parts.mode === 'observe') return;
    for (const { name, facts } of this.#parts.pools.instances) {
      if (facts?.layout.model === 'dynamic') this.#look(name);
    }
  }

  #taken(lease: Lease): void {
    if (!overrunHurts(lease.terms.layout)) return;
    const { speeds, clock } = this.#parts;
    const laterUnits = growthOf(lease, speeds, clock.nowMs()).after(
      lookaheadTokens(lease.terms.layout),
    );
    this.#spend(lease.terms.instance, laterUnits);
  }

  #grown(lease: Lease, heldDelta: number): void {
    if (!overrunHurts(lease.terms.layout)) return;
    const { instance } = lease.terms;
    // What was given back may be room enough for the brake to be released.
    if (heldDelta < 0 && this.isOn(instance)) this.#look(instance);
    else this.#spend(instance, Math.max(0, heldDelta));
  }

  #ended({ terms: { instance, layout } }: Lease): void {
    if (!overrunHurts(layout)) return;
    const watched = this.#of(instance);
    watched.endedAtMs = this.#parts.clock.nowMs();
    // It may have been this one that held more than was seen; the next reading tells.
    if (!watched.unexplained.isForeign) {
      watched.unexplained = NOTHING_UNEXPLAINED;
      watched.foreseenUnits = 0;
    }
    if (watched.isOn) this.#look(instance);
  }

  /** The usual case costs no more than this. */
  #spend(instance: string, units: number): void {
    const watched = this.#of(instance);
    watched.slackUnits -= units;
    if (watched.slackUnits < 0) this.#look(instance);
  }

  #look(name: string): void {
    const { pools, capacities } = this.#parts;
    const instance = pools.get(name);
    if (instance === undefined || !isServing(instance)) return;
    const watched = this.#of(name);
    const limits = capacities.endOf(instance);
    const leases = this.#leases.of(name);
    const othersUnits = watched.foreseenUnits;
    const plan = planBrake({ limits, othersUnits, leases, isOn: watched.isOn });
    const isOn = plan.state !== 'ok' || (watched.isOn && isOutdated(instance, watched));
    this.#switch(instance, watched, isOn, limits, leases);
    watched.capacityUnits = limits?.capacityUnits ?? null;
    // Whoever is made to go comes through the ledger again: no room is counted on before.
    watched.slackUnits = plan.state === 'act' ? 0 : plan.slackUnits;
    if (plan.state !== 'act') return;
    // All are marked before the first goes, and with it perhaps this look is taken again.
    for (const { lease } of [...plan.takeBack, ...plan.end]) this.#leases.mark(lease);
    for (const { lease } of plan.takeBack) this.#act(instance, lease, 'take_back');
    for (const { lease } of plan.end) this.#act(instance, lease, 'end_stream');
  }

  #act(instance: ServingInstance, lease: Lease, action: BrakeAction): void {
    const { log, metrics } = this.#parts;
    const { heldUnits, generatedTokens, terms } = lease;
    log.warn(action === 'take_back' ? 'Request taken back' : 'Stream ended for want of memory', {
      request: terms.requestId,
      instance: instance.name,
      heldUnits,
      generatedTokens,
    });
    metrics.brakeActed(action, tagsOf(instance));
    this.#leases.act(lease, action);
  }

  #switch(
    { name: instance }: ServingInstance,
    watched: Watched,
    isOn: boolean,
    limits: BrakeLimits | null,
    leases: readonly WatchedLease[],
  ): void {
    if (isOn === watched.isOn) return;
    watched.isOn = isOn;
    const { log, headrooms } = this.#parts;
    const figures = {
      instance,
      heldUnits: leases.reduce((sum, { heldUnits }) => sum + heldUnits, 0),
      laterUnits: leases.reduce((sum, { laterUnits }) => sum + laterUnits, 0),
      othersUnits: watched.foreseenUnits,
      capacityUnits: limits?.capacityUnits ?? null,
      requests: leases.length,
    };
    if (!isOn) {
      log.info('Emergency brake off', figures);
      return;
    }
    log.warn('Emergency brake on', { ...figures, cause: causeOf(watched, limits) });
    headrooms.signal(instance, 'brake');
  }

  #of(instance: string): Watched {
    const known = this.#watched.get(instance);
    if (known !== undefined) return known;
    const fresh = nothingWatched();
    this.#watched.set(instance, fresh);
    return fresh;
  }
}
