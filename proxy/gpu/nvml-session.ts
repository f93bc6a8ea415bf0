/**
 * NVML between one `init` and the next `shutdown`: handles are opened once and
 * kept. A GPU that is lost costs only its own reading; it is looked for by a
 * new session, after a backoff, since its old handle never answers again.
 */
import type { Clock } from '../state/clock.ts';
import type { GpuReading } from '../state/gpu-source.ts';
import { Backoff } from './backoff.ts';
import { meaningOf, type Nvml, NvmlError, throwIfSessionEnded } from './nvml-api.ts';
import { type NvmlGpu, readNvmlGpu, unknownReading } from './nvml-reading.ts';
import { MIG_EMPTY, SHARES_MEMORY } from './unknown-why.ts';

const MAX_GPUS = 64;
/** What no new session changes. */
const STAYS: ReadonlySet<string | null> = new Set([SHARES_MEMORY, MIG_EMPTY]);

export interface NvmlRound {
  readonly gpus: readonly GpuReading[];
  /** What is wrong with single GPUs; empty when nothing is. */
  readonly troubles: readonly string[];
}

interface Opened {
  readonly gpus: readonly NvmlGpu[];
  /** What is wrong with those that the driver counts but does not give. */
  readonly refused: readonly string[];
}

export class NvmlSession {
  readonly #nvml: Nvml;
  readonly #clock: Clock;
  readonly #isVisible: (pid: number) => boolean;
  readonly #backoff = new Backoff();
  /** Every GPU that was ever opened, by UUID: one that is lost is still somebody's. */
  readonly #known = new Map<string, Omit<NvmlGpu, 'handle'>>();
  #opened: Opened | null = null;
  /** When a session with troubles is given up for a new one; null without troubles. */
  #renewAtMs: number | null = null;

  constructor(nvml: Nvml, clock: Clock, isVisible: (pid: number) => boolean) {
    this.#nvml = nvml;
    this.#clock = clock;
    this.#isVisible = isVisible;
  }

  /**
   * One reading of every GPU, opened first where need be.
   * @throws NvmlError when none can be read; the next call begins a new session
   */
  async round(): Promise<NvmlRound> {
    try {
      if (this.#renewAtMs !== null && this.#clock.nowMs() >= this.#renewAtMs) await this.close();
      this.#opened ??= await this.#open();
      return await this.#read(this.#opened);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Ends the session; harmless when there is none. */
  async close(): Promise<void> {
    this.#opened = null;
    this.#renewAtMs = null;
    await this.#nvml.shutdown();
  }

  async #read({ gpus, refused }: Opened): Promise<NvmlRound> {
    const readings: GpuReading[] = [];
    for (const gpu of gpus) {
      readings.push(...(await readNvmlGpu(this.#nvml, gpu, this.#isVisible)));
    }
    const there = new Set(gpus.map(({ uuid }) => uuid));
    for (const gpu of this.#known.values()) {
      if (there.has(gpu.uuid)) continue;
      readings.push(unknownReading(gpu, refused[0] ?? 'the driver no longer lists the GPU'));
    }
    const unreadable = readings.filter(({ unknownWhy }) => unknownWhy !== null);
    const troubles = [
      ...refused,
      ...unreadable.map(({ uuid, unknownWhy }) => `${uuid}: ${unknownWhy}`),
    ];
    this.#planRenewal(
      refused.length > 0 || unreadable.some(({ unknownWhy }) => !STAYS.has(unknownWhy)),
    );
    return { gpus: readings, troubles };
  }

  #planRenewal(troubled: boolean): void {
    if (!troubled) {
      this.#renewAtMs = null;
      this.#backoff.reset();
    } else {
      this.#renewAtMs ??= this.#clock.nowMs() + this.#backoff.next();
    }
  }

  async #open(): Promise<Opened> {
    const begun = await this.#nvml.init();
    if (!begun.ok) throw new NvmlError('NVML could not be initialized', begun.code);
    const count = await this.#nvml.deviceCount();
    if (!count.ok) throw new NvmlError('the GPUs could not be counted', count.code);
    const gpus: NvmlGpu[] = [];
    const refused: string[] = [];
    for (let index = 0; index < Math.min(count.value, MAX_GPUS); index += 1) {
      const gpu = await this.#openGpu(index);
      if (typeof gpu === 'string') refused.push(gpu);
      else gpus.push(gpu);
    }
    for (const { uuid, index, name } of gpus) this.#known.set(uuid, { uuid, index, name });
    if (this.#known.size === 0) throw new Error(refused[0] ?? 'the driver lists no GPU');
    return { gpus, refused };
  }

  /** The GPU, or why it could not be opened. */
  async #openGpu(index: number): Promise<NvmlGpu | string> {
    const what = `GPU ${index} could not be opened`;
    const handle = await this.#nvml.device(index);
    throwIfSessionEnded(what, handle);
    if (!handle.ok) return `${what}: ${meaningOf(handle.code)}`;
    const uuid = await this.#nvml.uuid(handle.value);
    throwIfSessionEnded(what, uuid);
    if (!uuid.ok) return `${what}: ${meaningOf(uuid.code)}`;
    const name = await this.#nvml.nameOf(handle.value);
    return { handle: handle.value, uuid: uuid.value, index, name: name.ok ? name.value : 'GPU' };
  }
}
