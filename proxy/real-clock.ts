import { performance } from 'node:perf_hooks';
import type { Clock } from './state/clock.ts';

/** The monotonic clock of the process: jumps of the wall clock do not reach it. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
