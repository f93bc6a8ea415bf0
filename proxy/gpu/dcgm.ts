import type { Clock } from '../state/clock.ts';
import { dcgmReadings } from './dcgm-readings.ts';
import { PolledGpuSource } from './polled.ts';

export interface DcgmOptions {
  /** The exporter's page, bounded. The signal aborts when it is no longer wanted. */
  readonly read: (signal: AbortSignal) => Promise<string>;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/**
 * Reads GPUs from a DCGM exporter. It takes samples at its own interval (30 s
 * unless told otherwise) and does not say when: a page that is fresh may tell
 * of half a minute ago.
 */
export class DcgmSource extends PolledGpuSource {
  constructor({ read, pollIntervalMs, clock }: DcgmOptions) {
    super({
      name: 'dcgm',
      what: "the DCGM exporter's GPUs",
      read: async (signal) => dcgmReadings(await read(signal)),
      pollIntervalMs,
      clock,
    });
  }
}
