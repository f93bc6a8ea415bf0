/**
 * Watches every engine: finds its adapter, learns its facts, then reads its
 * state at each poll. One probe of a backend at a time; a failed one makes it
 * unreachable until a full probe succeeds, for the process may be another one.
 * An engine under suspicion gets no work until it has generated a token.
 */
import type {
  Adapter,
  EngineFacts,
  EngineHints,
  EngineIo,
} from '../../backend-adapters/adapter.ts';
import { beginReading } from './begin-reading.ts';
import type { Clock } from './clock.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './log.ts';
import {
  backendOf,
  type Health,
  type Instance,
  isServing,
  type Pools,
  type ServingInstance,
} from './pools.ts';
import { RefusalWatch } from './refusal-watch.ts';
import { Suspects } from './suspects.ts';

export interface EngineMonitorOptions {
  readonly pollIntervalMs: number;
  readonly probeTimeoutMs: number;
  /** Finds the adapter that matches the server; null when none does. */
  readonly detect: (io: EngineIo, signal: AbortSignal) => Promise<Adapter | null>;
  readonly hintsFor: (instance: Instance) => EngineHints;
}

export class EngineMonitor {
  readonly #pools: Pools;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: EngineMonitorOptions;
  readonly #suspects: Suspects;
  readonly #cancelTimer = new Map<string, () => void>();
  readonly #probing = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(pools: Pools, ledger: Ledger, clock: Clock, log: Log, options: EngineMonitorOptions) {
    this.#pools = pools;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
    this.#suspects = new Suspects(clock);
  }

  /** Probes every backend once, then goes on at the poll interval until `stop`. */
  async start(): Promise<void> {
    await Promise.all(this.#pools.instances.map((instance) => this.probeNow(instance.name)));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of this.#cancelTimer.values()) cancel();
    this.#cancelTimer.clear();
    await Promise.all(this.#probing.values());
  }

  /** Probes an instance's backend at once, or joins the probe that is under way. */
  probeNow(instance: string): Promise<void> {
    const name = backendOf(instance);
    const underWay = this.#probing.get(name);
    if (underWay !== undefined) return underWay;
    if (this.#stopping.signal.aborted) return Promise.resolve();
    this.#cancelTimer.get(name)?.();
    const probe = this.#probe(name).finally(() => {
      this.#probing.delete(name);
      if (this.#stopping.signal.aborted) return;
      const again = () => void this.probeNow(name);
      this.#cancelTimer.set(name, this.#clock.after(this.#pauseMs(name), again));
    });
    this.#probing.set(name, probe);
    return probe;
  }

  /** Takes an instance's backend out of service until it has generated a token. */
  suspect(instance: string, why: string): void {
    const name = backendOf(instance);
    this.#suspects.add(name, why);
    const known = this.#pools.get(name);
    if (known?.health.state === 'healthy') this.#quarantine(known, why);
    void this.probeNow(name);
  }

  #pauseMs(name: string): number {
    const { pollIntervalMs } = this.#options;
    const quietMs = this.#pools.get(name)?.adapter?.cancelQuietMs ?? 0;
    const ranks = this.#pools.ranksOf(name).map((rank) => [...this.#ledger.leases(rank.name)]);
    const lingers = ranks.flat().some(({ state }) => state === 'draining');
    // While cancelled requests linger, an engine that our reads would distract is left alone longer.
    const pauseMs = lingers ? Math.max(pollIntervalMs, quietMs) : pollIntervalMs;
    return Math.max(pauseMs, this.#suspects.pauseMs(name));
  }

  async #probe(name: string): Promise<void> {
    const instance = this.#pools.get(name);
    if (instance === undefined) return;
    const { probeTimeoutMs } = this.#options;
    const timeout = new AbortController();
    const cancelTimeout = this.#clock.after(probeTimeoutMs, () =>
      timeout.abort(new Error(`no answer within ${probeTimeoutMs} ms`)),
    );
    const signal = AbortSignal.any([this.#stopping.signal, timeout.signal]);
    const io = new RefusalWatch(instance.io);
    try {
      if (isServing(instance) && instance.health.state === 'healthy') {
        await this.#read(instance, io, signal);
      } else {
        await this.#identify(instance, io, signal);
      }
    } catch (error) {
      if (timeout.signal.aborted && this.#isMute(instance)) return;
      this.#lost(instance, error instanceof Error ? error.message : String(error), io);
    } finally {
      cancelTimeout();
    }
  }

  async #read(instance: ServingInstance, io: EngineIo, signal: AbortSignal): Promise<void> {
    const stamp = beginReading(this.#pools, this.#ledger, this.#clock, instance.name);
    const reading = await instance.adapter.read(io, instance.facts, signal);
    // Suspected meanwhile: what it tells of itself is no longer worth anything.
    if (this.#suspects.has(instance.name)) return;
    if (reading.state === 'loading') {
      this.#setHealth(instance, { state: 'loading', why: 'the engine says that it is loading' });
      return;
    }
    stamp(reading, {});
  }

  async #identify(instance: Instance, io: RefusalWatch, signal: AbortSignal): Promise<void> {
    const adapter = instance.adapter ?? (await this.#options.detect(io, signal));
    if (adapter === null) {
      this.#lost(instance, 'no known engine answers there', io);
      return;
    }
    const stamp = beginReading(this.#pools, this.#ledger, this.#clock, instance.name);
    const result = await adapter.probe(io, this.#options.hintsFor(instance), signal);
    if (!result.ok) {
      const { state, why } = result;
      // A server that comes back may be another engine: it is detected anew.
      if (state === 'unreachable') {
        this.#lost(instance, why, io, null);
        return;
      }
      if (instance.health.state !== state) this.#log.warn(`Backend ${state}`, named(instance, why));
      this.#setHealth(instance, { state, why }, adapter);
      return;
    }
    const { facts, reading } = result;
    if (this.#suspects.has(instance.name) && !(await this.#proven(instance, adapter, io, facts))) {
      return;
    }
    for (const warning of facts.warnings) {
      this.#log.warn('Backend facts assumed', named(instance, warning));
    }
    this.#log.info('Backend healthy', named(instance, adapter.name));
    this.#pools.setRanks(instance.name, facts.ranks);
    stamp(reading, { adapter, facts, health: { state: 'healthy' } });
  }

  /** Silence is no news from an engine that is at work on something and says nothing meanwhile. */
  #isMute({ name, adapter, health }: Instance): boolean {
    const { muteWhileGenerating = false } = adapter ?? {};
    const works = [...this.#ledger.leases(name)].some(({ terms }) => !terms.streams);
    return muteWhileGenerating && health.state === 'healthy' && works;
  }

  /** Whether a suspect generates again; if not, it is quarantined. */
  async #proven(
    instance: Instance,
    adapter: Adapter,
    io: EngineIo,
    facts: EngineFacts,
  ): Promise<boolean> {
    const why = await this.#suspects.prove(instance.name, this.#stopping.signal, (signal) =>
      adapter.tryOneToken(io, facts, signal),
    );
    if (why === null) return true;
    if (!this.#stopping.signal.aborted) this.#quarantine(instance, why, adapter);
    return false;
  }

  #quarantine(instance: Instance, why: string, adapter = instance.adapter): void {
    if (instance.health.state !== 'quarantined') {
      this.#log.warn('Backend quarantined', named(instance, why));
    }
    this.#setHealth(instance, { state: 'quarantined', why }, adapter);
  }

  #lost(instance: Instance, why: string, io: RefusalWatch, adapter = instance.adapter): void {
    if (this.#stopping.signal.aborted) return;
    if (instance.health.state !== 'unreachable') {
      this.#log.warn('Backend unreachable', named(instance, why));
    }
    // A process that was serving and is gone died: the next one has to prove itself.
    if (io.refused && isServing(instance)) this.#suspects.add(instance.name, why);
    const health = { state: 'unreachable', why, processGone: io.refused } as const;
    this.#setHealth(instance, health, adapter);
  }

  #setHealth({ name, adapter: known }: Instance, health: Health, adapter = known): void {
    for (const rank of this.#pools.ranksOf(name)) {
      this.#pools.update(rank.name, { adapter, health });
    }
  }
}

function named({ name: instance }: Instance, detail: string) {
  return { instance, detail };
}
