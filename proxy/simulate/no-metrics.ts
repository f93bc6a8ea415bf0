/** Metrics that nobody reads: a simulation has figures of its own. */
import type { Metrics } from '../state/metrics.ts';

const ignore = () => {};

export const noMetrics: Metrics = {
  decided: ignore,
  degraded: ignore,
  waitedInQueue: ignore,
  waitPredicted: ignore,
  observeTtft: ignore,
  observeInterToken: ignore,
  observeEndToEnd: ignore,
  tokens: ignore,
  prefixCacheHit: ignore,
  leaseSettled: ignore,
  promptCounted: ignore,
  outputForecast: ignore,
  leaseEndedTwice: ignore,
  sessionEvicted: ignore,
  headroomMoved: ignore,
  brakeActed: ignore,
  streamCancelled: ignore,
};
