/** Counts what happens, and mirrors state at the moment it is read. */
import type { Level } from '../policy/types.ts';
import type { InstanceTags, Metrics, MetricsSnapshot } from '../state/metrics.ts';
import { createInstruments, type Instruments } from './instruments.ts';

export interface MetricsPage {
  /** The page of `GET /metrics`. */
  text(): Promise<string>;
  readonly contentType: string;
}

const LEVEL_NUMBER: Readonly<Record<Level, number>> = {
  low: 0,
  medium: 1,
  high: 2,
  critical: 3,
  emergency: 4,
};

/** The error of a shorter wait is taken over this: 10 ms foreseen as 30 ms is a good forecast. */
const SHORT_WAIT_MS = 100;

/** `collect` is asked for the state once for every page. */
export function createMetrics(
  collect: () => MetricsSnapshot,
  version: string,
): Metrics & MetricsPage {
  const { registry, events, mirrors, build } = createInstruments();
  build.set({ version }, 1);
  return {
    decided({ action, reason, pool, charge }) {
      events.decisions.inc({ action, reason, pool: pool ?? '' });
      if (action === 'reject') events.rejected.inc({ reason });
      const kvBytes = charge?.kvBytes ?? null;
      if (kvBytes !== null) events.estimatedKv.observe({ action }, kvBytes);
    },
    degraded: (level, tags) => events.degraded.inc({ level, ...labels(tags) }),
    waitedInQueue: (seconds, outcome, priority) =>
      events.queueWait.observe({ outcome, priority }, seconds),
    waitPredicted({ predictedMs, realMs }) {
      const scaleMs = Math.max(realMs, SHORT_WAIT_MS);
      events.waitError.observe(Math.abs(realMs - predictedMs) / scaleMs);
    },
    observeTtft: (seconds, tags) => events.ttft.observe(labels(tags), seconds),
    observeInterToken: (seconds, tags) => events.interToken.observe(labels(tags), seconds),
    observeEndToEnd: (seconds, tags) => events.endToEnd.observe(labels(tags), seconds),
    tokens: (kind, count, tags) => events.tokens.inc({ kind, ...labels(tags) }, count),
    prefixCacheHit: (tokens, tags) => events.prefixHits.inc(labels(tags), tokens),
    leaseSettled({ estimatedUnits, actualUnits }, tags) {
      // Nothing was held, so there is nothing the estimate could be compared with.
      if (actualUnits <= 0) return;
      events.estimateError.observe(labels(tags), (estimatedUnits - actualUnits) / actualUnits);
      if (estimatedUnits < actualUnits) events.underEstimates.inc(labels(tags));
    },
    promptCounted({ lo, expected, hi, source }, promptTokens, tags) {
      if (promptTokens <= 0) return;
      const errorRatio = (expected - promptTokens) / promptTokens;
      events.promptError.observe({ source, ...labels(tags) }, errorRatio);
      const isWithin = lo <= promptTokens && promptTokens <= hi;
      if (!isWithin) events.promptOutside.inc({ source, ...labels(tags) });
    },
    outputForecast: (covered, tags) =>
      events.outputForecasts.inc({ covered: String(covered), ...labels(tags) }),
    leaseEndedTwice: () => events.doubleEnds.inc(),
    sessionEvicted: (reason) => events.evictions.inc({ reason }),
    headroomMoved: (cause, tags) => events.headroomMoves.inc({ cause, ...labels(tags) }),
    brakeActed: (action, tags) => events.brakeActions.inc({ action, ...labels(tags) }),
    streamCancelled: (by) => events.cancelled.inc({ by }),
    contentType: registry.contentType,
    text() {
      mirror(collect(), mirrors);
      return registry.metrics();
    },
  };
}

function mirror(snapshot: MetricsSnapshot, mirrors: Instruments['mirrors']): void {
  // An instance that is gone, or a value no longer known, must not keep its last sample.
  for (const gauge of Object.values(mirrors)) gauge.reset();
  for (const sample of snapshot.instances) {
    const tags = labels(sample);
    mirrors.up.set(tags, sample.up ? 1 : 0);
    mirrors.level.set(tags, LEVEL_NUMBER[sample.level]);
    mirrors.headroom.set(tags, sample.headroomShare);
    mirrors.braking.set(tags, sample.braking ? 1 : 0);
    if (sample.pressure !== null) mirrors.pressure.set(tags, sample.pressure);
    if (sample.reservedBytes !== null) mirrors.reserved.set(tags, sample.reservedBytes);
    if (sample.usedBytes !== null) mirrors.used.set(tags, sample.usedBytes);
    if (sample.capacityBytes !== null) mirrors.capacity.set(tags, sample.capacityBytes);
    if (sample.calibrationAlarm !== null) {
      mirrors.calibrationAlarm.set(tags, sample.calibrationAlarm ? 1 : 0);
    }
  }
  for (const { gpu, usedBytes, totalBytes } of snapshot.gpus) {
    if (usedBytes !== null) mirrors.gpuUsed.set({ gpu }, usedBytes);
    if (totalBytes !== null) mirrors.gpuTotal.set({ gpu }, totalBytes);
  }
  for (const { source, ageSeconds } of snapshot.probes) {
    if (ageSeconds !== null) mirrors.probeAge.set({ source }, ageSeconds);
  }
  mirrors.sessions.set(snapshot.activeSessions);
  mirrors.queueDepth.set(snapshot.queueDepth);
}

/** Only the tags, also of an object that has more. */
function labels({ instance, pool, modelId, modelSize, dtype, gpuMode }: InstanceTags) {
  return { instance, pool, model_id: modelId, model_size: modelSize, dtype, gpu_mode: gpuMode };
}
