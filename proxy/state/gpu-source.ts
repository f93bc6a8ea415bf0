/**
 * What the monitor wants of a GPU reader. An unreadable value is null with a
 * reason, never 0: an empty GPU and an unreadable one must not look alike.
 */

/** A process that holds memory of a GPU. */
export interface GpuProcess {
  /** As this process sees it in /proc. */
  readonly pid: number;
  /** null where the driver does not tell. */
  readonly usedBytes: number | null;
}

/** One GPU, or one MIG instance of it, at one moment. */
export interface GpuReading {
  /** Of the GPU or of the instance: the one name that neither order nor reboot changes. */
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
  readonly totalBytes: number | null;
  readonly usedBytes: number | null;
  readonly utilizationPercent: number | null;
  /** Why a memory value is null; null when both are known. */
  readonly unknownWhy: string | null;
  /** Who holds memory on it; null where that can't be seen, which is not the same as nobody. */
  readonly processes: readonly GpuProcess[] | null;
}

export interface GpuSourceEvents {
  /** One complete round over all GPUs. */
  sample(gpus: readonly GpuReading[]): void;
  /** Reading failed; the source goes on trying with backoff. Never called after `stop`. */
  fault(message: string): void;
}

export interface GpuSource {
  /** As shown in the banner and in metrics: `nvml`, `nvidia-smi`, `none`, ... */
  readonly name: string;
  start(events: GpuSourceEvents): void;
  /** Resolves when nothing of the source runs any more. */
  stop(): Promise<void>;
}
