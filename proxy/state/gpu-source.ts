/**
 * What the monitor wants of a GPU reader. An unreadable value is null with a
 * reason, never 0: an empty GPU and an unreadable one must not look alike.
 */
export interface GpuReading {
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
  readonly totalBytes: number | null;
  readonly usedBytes: number | null;
  readonly utilizationPercent: number | null;
  /** Why a memory value is null; null when both are known. */
  readonly unknownWhy: string | null;
}

export interface GpuSourceEvents {
  /** One complete round over all GPUs. */
  sample(gpus: readonly GpuReading[]): void;
  /** Reading failed; the source goes on trying with backoff. Never called after `stop`. */
  fault(message: string): void;
}

export interface GpuSource {
  /** As shown in the banner and in metrics: `nvidia-smi`, `simulated`, `none`. */
  readonly name: string;
  start(events: GpuSourceEvents): void;
  /** Resolves when nothing of the source runs any more. */
  stop(): Promise<void>;
}
