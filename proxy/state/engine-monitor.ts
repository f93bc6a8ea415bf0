/**
 * Watches every engine: finds its adapter, learns its facts, then reads its
 * state at each poll. One probe of an instance at a time; a failed one makes it
 * unreachable until a full probe succeeds, for the process may be another one.
 */
import type { Adapter, EngineHints, EngineIo } from '../../backend-adapters/adapter.ts';
import type { Clock } from './clock.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './log.ts';
import { type Instance, isServing, type Pools, type ServingInstance } from './pools.ts';
import { RefusalWatch } from './refusal-watch.ts';

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
  readonly #cancelTimer = new Map<string, () => void>();
  readonly #probing = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(pools: Pools, ledger: Ledger, clock: Clock, log: Log, options: EngineMonitorOptions) {
    this.#pools = pools;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
  }

  /** Probes every instance once, then goes on at the poll interval until `stop`. */
  async start(): Promise<void> {
    await Promise.all(this.#pools.instances.map((instance) => this.probeNow(instance.name)));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of this.#cancelTimer.values()) cancel();
    this.#cancelTimer.clear();
    await Promise.all(this.#probing.values());
  }

  /** Probes an instance at once, or joins the probe that is under way. */
  probeNow(name: string): Promise<void> {
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

  /** While cancelled requests linger, an engine that our reads would distract is left alone longer. */
  #pauseMs(name: string): number {
    const { pollIntervalMs } = this.#options;
    const quietMs = this.#pools.get(name)?.adapter?.cancelQuietMs ?? 0;
    const lingers = [...this.#ledger.leases(name)].some(({ state }) => state === 'draining');
    return lingers ? Math.max(pollIntervalMs, quietMs) : pollIntervalMs;
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
      this.#lost(instance, error instanceof Error ? error.message : String(error), io);
    } finally {
      cancelTimeout();
    }
  }

  async #read(instance: ServingInstance, io: EngineIo, signal: AbortSignal): Promise<void> {
    const own = this.#ownUse(instance);
    const startedAtMs = this.#clock.nowMs();
    const reading = await instance.adapter.read(io, instance.facts, signal);
    if (reading.state === 'loading') {
      this.#pools.update(instance.name, {
        health: { state: 'loading', why: 'the engine says that it is loading' },
      });
      return;
    }
    const after = this.#ownUse(instance);
    this.#pools.update(instance.name, {
      latest: {
        reading,
        startedAtMs,
        finishedAtMs: this.#clock.nowMs(),
        ownHeldUnits: Math.max(own.units, after.units),
        ownSequences: Math.max(own.sequences, after.sequences),
      },
    });
  }

  #ownUse({ name }: Instance): { readonly units: number; readonly sequences: number } {
    const { sequences } = this.#ledger.totals(name);
    return { units: this.#ledger.mostHeldUnits(name), sequences };
  }

  async #identify(instance: Instance, io: RefusalWatch, signal: AbortSignal): Promise<void> {
    const adapter = instance.adapter ?? (await this.#options.detect(io, signal));
    if (adapter === null) {
      this.#lost(instance, 'no known engine answers there', io);
      return;
    }
    const startedAtMs = this.#clock.nowMs();
    const result = await adapter.probe(io, this.#options.hintsFor(instance), signal);
    if (!result.ok) {
      const { state, why } = result;
      // A server that comes back may be another engine: it is detected anew.
      if (state === 'unreachable') {
        this.#lost({ ...instance, adapter: null }, why, io);
        return;
      }
      if (instance.health.state !== state) this.#log.warn(`Backend ${state}`, named(instance, why));
      this.#pools.update(instance.name, { adapter, health: { state, why } });
      return;
    }
    const { units, sequences } = this.#ownUse(instance);
    for (const warning of result.facts.warnings) {
      this.#log.warn('Backend facts assumed', named(instance, warning));
    }
    this.#log.info('Backend healthy', named(instance, adapter.name));
    this.#pools.update(instance.name, {
      adapter,
      facts: result.facts,
      health: { state: 'healthy' },
      latest: {
        reading: result.reading,
        startedAtMs,
        finishedAtMs: this.#clock.nowMs(),
        ownHeldUnits: units,
        ownSequences: sequences,
      },
    });
  }

  #lost(instance: Instance, why: string, io: RefusalWatch): void {
    if (this.#stopping.signal.aborted) return;
    if (instance.health.state !== 'unreachable') {
      this.#log.warn('Backend unreachable', named(instance, why));
    }
    this.#pools.update(instance.name, {
      adapter: instance.adapter,
      health: { state: 'unreachable', why, processGone: io.refused },
    });
  }
}

function named(instance: Instance, detail: string): { instance: string; detail: string } {
  return { instance: instance.name, detail };
}
