import type { GpuSource } from '../state/gpu-source.ts';

/** No GPU is read: everything that depends on one stays unknown. */
export class NoGpuSource implements GpuSource {
  readonly name = 'none';

  start(): void {}

  async stop(): Promise<void> {}
}
