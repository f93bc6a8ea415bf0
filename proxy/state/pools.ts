/**
 * Pools and their instances: who is a member, who is healthy, and what each
 * engine said of itself. The one owner of membership and health.
 */
import type {
  Adapter,
  EngineFacts,
  EngineIo,
  EngineReading,
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

/** What is known of one backend server. Fields change only through `Pools`. */
export interface Instance extends InstanceConfig {
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

export function isServing(instance: Instance): instance is ServingInstance {
  return instance.adapter !== null && instance.facts !== null;
}
