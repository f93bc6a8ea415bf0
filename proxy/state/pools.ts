/**
 * Pools and their instances: who is a member, who is healthy, and what each
 * engine said of itself. The one owner of membership and health.
 */
import type {
  Adapter,
  EngineFacts,
  EngineIo,
  EngineReading,
  GenerationRoute,
} from '../../backend-adapters/adapter.ts';

export type Health =
  | { readonly state: 'starting'; readonly why: string }
  | { readonly state: 'loading'; readonly why: string }
  | { readonly state: 'healthy' }
  | {
      readonly state: 'unreachable';
      readonly why: string;
      /** Nothing listens at its address: the process is gone, and what it held with it. */
      readonly processGone: boolean;
    }
  /** It ran out of memory or died, and has not shown since that it can generate. */
  | { readonly state: 'quarantined'; readonly why: string }
  | { readonly state: 'unusable'; readonly why: string };

/** A reading with the moments between which it was taken, on the monitor's clock. */
export interface StampedReading {
  readonly reading: EngineReading;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** The most that our own leases may have held meanwhile, and their sequences. */
  readonly ownHeldUnits: number;
  readonly ownSequences: number;
}

export interface InstanceConfig {
  readonly name: string;
  readonly url: string;
  readonly pool: string;
  readonly large: boolean;
  readonly io: EngineIo;
}

/**
 * What is known of one backend server, or of one data-parallel rank of it: each
 * rank has a KV pool of its own. Fields change only through `Pools`.
 */
export interface Instance extends InstanceConfig {
  /** null where the engine has just one. */
  readonly rank: number | null;
  readonly adapter: Adapter | null;
  readonly facts: EngineFacts | null;
  readonly latest: StampedReading | null;
  readonly health: Health;
}

/** An instance that can serve: adapter and facts are known. */
export interface ServingInstance extends Instance {
  readonly adapter: Adapter;
  readonly facts: EngineFacts;
}

export interface Pool {
  readonly name: string;
  readonly large: boolean;
  readonly instances: readonly Instance[];
}

export class Pools {
  readonly #instances = new Map<string, Instance>();
  readonly #listeners: ((before: Instance, after: Instance) => void)[] = [];

  constructor(instances: readonly InstanceConfig[]) {
    for (const config of instances) {
      this.#instances.set(config.name, {
        ...config,
        rank: null,
        adapter: null,
        facts: null,
        latest: null,
        health: { state: 'starting', why: 'not probed yet' },
      });
    }
  }

  get instances(): readonly Instance[] {
    return [...this.#instances.values()];
  }

  get(name: string): Instance | undefined {
    return this.#instances.get(name);
  }

  /** Pools in the order of their first instance, the usual ones before the large one. */
  get pools(): readonly Pool[] {
    const byName = new Map<string, Instance[]>();
    for (const instance of this.#instances.values()) {
      byName.set(instance.pool, [...(byName.get(instance.pool) ?? []), instance]);
    }
    return [...byName]
      .map(([name, instances]) => ({
        name,
        large: instances.some((instance) => instance.large),
        instances,
      }))
      .sort((a, b) => Number(a.large) - Number(b.large));
  }

  /** Any instance whose engine is known, healthy ones first: its adapter speaks for the rest. */
  get spokesman(): ServingInstance | null {
    const known = this.instances.filter(isServing);
    return known.find((instance) => instance.health.state === 'healthy') ?? known[0] ?? null;
  }

  /** The instance that speaks for those which serve a path; null where none does. */
  spokesmanFor(path: string): ServingInstance | null {
    const able = this.instances.filter(isServing).filter(({ adapter }) => routeIn(adapter, path));
    return able.find((instance) => instance.health.state === 'healthy') ?? able[0] ?? null;
  }

  /** How requests to a path are read, by the first adapter that has it; null where none does. */
  routeOf(path: string): GenerationRoute | null {
    for (const { adapter } of this.instances) {
      const route = adapter === null ? null : routeIn(adapter, path);
      if (route !== null) return route;
    }
    return null;
  }

  /** A backend's instances: itself, and one more for each further rank of its engine. */
  ranksOf(backend: string): readonly Instance[] {
    return this.instances.filter(({ name }) => backendOf(name) === backend);
  }

  /** Makes a backend have so many ranks; those it no longer has are forgotten. */
  setRanks(backend: string, ranks: number): void {
    const first = this.#instances.get(backend);
    if (first === undefined) return;
    const gone = this.ranksOf(backend).filter(({ rank }) => (rank ?? 0) >= ranks);
    for (const { name, rank } of gone) if (rank !== null && rank > 0) this.#instances.delete(name);
    this.#instances.set(backend, { ...first, rank: ranks > 1 ? 0 : null });
    for (let rank = 1; rank < ranks; rank += 1) {
      const name = `${backend}${RANK_MARK}${rank}`;
      if (!this.#instances.has(name)) this.#instances.set(name, { ...first, name, rank });
    }
  }

  onChange(listener: (before: Instance, after: Instance) => void): void {
    this.#listeners.push(listener);
  }

  /** Replaces what is known of an instance. A name that is no member is ignored. */
  update(
    name: string,
    change: Partial<Pick<Instance, 'adapter' | 'facts' | 'latest' | 'health'>>,
  ): void {
    const before = this.#instances.get(name);
    if (before === undefined) return;
    const after = { ...before, ...change };
    this.#instances.set(name, after);
    for (const listener of this.#listeners) listener(before, after);
  }
}

/** Parts the name of a further rank from that of its backend; no backend's name has it. */
const RANK_MARK = '#';

/** The configured backend that an instance is, or is a rank of. */
export function backendOf(instance: string): string {
  return instance.split(RANK_MARK, 1)[0] ?? instance;
}

/** The adapter's own route of this path; null where it has none. */
export function routeIn(adapter: Adapter, path: string): GenerationRoute | null {
  return adapter.generationRoutes.find((route) => route.path === path) ?? null;
}

export function isServing(instance: Instance): instance is ServingInstance {
  return instance.adapter !== null && instance.facts !== null;
}
