/**
 * Which processes are an instance's own: its server and whatever that started.
 * Looked up apart from the readings that want to know, and again whenever the
 * processes on the instance's GPUs are not those of the last look.
 */
import type { Clock } from './clock.ts';

/** PIDs of the server behind an instance; null where they can't be seen. */
export type FindProcesses = (instance: string) => Promise<ReadonlySet<number> | null>;

/** A look goes through all of /proc. */
const LOOK_INTERVAL_MS = 2_000;

interface Look {
  /** Whoever was on the GPUs when it began. */
  readonly onGpus: string;
  readonly atMs: number;
  readonly pids: ReadonlySet<number> | null;
}

export class EngineProcesses {
  readonly #find: FindProcesses;
  readonly #clock: Clock;
  readonly #looks = new Map<string, Look>();
  readonly #looking = new Set<string>();

  constructor(find: FindProcesses, clock: Clock) {
    this.#find = find;
    this.#clock = clock;
  }

  /**
   * The instance's own PIDs as they were seen last; null before the first look
   * and where they can't be seen. A process that is new counts as somebody
   * else's until the look that it brings about is through.
   * @param gpuPids of all processes on the instance's GPUs now
   */
  of(instance: string, gpuPids: Iterable<number>): ReadonlySet<number> | null {
    const last = this.#looks.get(instance);
    const onGpus = [...new Set(gpuPids)].sort((a, b) => a - b).join(' ');
    const nowMs = this.#clock.nowMs();
    const isDue = last === undefined || nowMs - last.atMs >= LOOK_INTERVAL_MS;
    if (isDue && last?.onGpus !== onGpus && !this.#looking.has(instance)) {
      void this.#look(instance, onGpus, nowMs);
    }
    return last?.pids ?? null;
  }

  async #look(instance: string, onGpus: string, atMs: number): Promise<void> {
    this.#looking.add(instance);
    const pids = await this.#find(instance).catch(() => null);
    this.#looks.set(instance, { onGpus, atMs, pids });
    this.#looking.delete(instance);
  }
}
