/**
 * When the decision log is told what an instance is: as soon as its engine is
 * known, when its memory comes to be another, and now and then, so that each
 * part of a log can be replayed by itself.
 */
import type { KvLayout } from '../memory/kv-layout.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { DecisionLog } from './decision-log.ts';
import type { GpuMonitor } from './gpu-monitor.ts';
import type { ServingInstance } from './pools.ts';

/** An instance as the log tells it: docs/decision-log.md describes each field. */
export interface InstanceLine {
  readonly instance: string;
  readonly pool: string;
  readonly large: boolean;
  readonly memoryModel: KvLayout['model'];
  /** null: it would be too long for a line. */
  readonly layout: KvLayout | null;
  readonly capacityUnits: number | null;
  readonly capacityState: 'known' | 'conservative' | 'unlimited' | 'blind';
  readonly maxSequences: number | null;
  readonly gpuTotalBytes: number | null;
}

export interface InstanceLinesParts {
  readonly capacities: Pick<Capacities, 'of' | 'endOf'>;
  readonly gpu: Pick<GpuMonitor, 'currentGpus'>;
  readonly decisionLog: Pick<DecisionLog, 'instance'>;
  readonly clock: Clock;
}

/** A capacity that moved by less is told with the next line that is due. */
const NOTICEABLE_SHARE = 0.02;
/** Readings of a GPU may waver for long. */
const SHORTEST_MS = 1_000;
const LONGEST_MS = 600_000;
/** A line that replay still reads, with room for what stands beside the layout. */
const MAX_LAYOUT_CHARS = 32_768;

interface Told {
  readonly line: InstanceLine;
  readonly layout: KvLayout;
  readonly atMs: number;
}

export class InstanceLines {
  readonly #parts: InstanceLinesParts;
  /** By name; there are as many as the pools have instances. */
  readonly #told = new Map<string, Told>();

  constructor(parts: InstanceLinesParts) {
    this.#parts = parts;
  }

  /** Tells what an instance is now, where that is news. */
  observe(instance: ServingInstance): void {
    const { decisionLog, clock } = this.#parts;
    const { name, facts } = instance;
    const told = this.#told.get(name);
    const nowMs = clock.nowMs();
    const isSame = told !== undefined && told.layout === facts.layout;
    const line = this.#lineOf(instance, isSame ? told.line.layout : bounded(facts.layout));
    if (isSame && !isNews(told.line, line, nowMs - told.atMs)) return;
    this.#told.set(name, { line, layout: facts.layout, atMs: nowMs });
    decisionLog.instance(line);
  }

  #lineOf(instance: ServingInstance, layout: KvLayout | null): InstanceLine {
    const { capacities, gpu } = this.#parts;
    const { name, pool, large, facts, latest } = instance;
    const isDynamic = facts.layout.model === 'dynamic';
    const gpus = isDynamic ? (gpu.currentGpus(name) ?? []) : [];
    return {
      ...{ instance: name, pool, large, layout },
      memoryModel: facts.layout.model,
      // Without the headroom that dynamic thresholds leave: a replay moves its own.
      capacityUnits: capacities.endOf(instance)?.capacityUnits ?? null,
      capacityState: capacities.of(instance).state,
      maxSequences: latest?.reading.maxSequences ?? null,
      gpuTotalBytes:
        gpus.length === 0 ? null : Math.min(...gpus.map(({ totalBytes }) => totalBytes)),
    };
  }
}

/** Where the geometry was read from is nobody's business: it may name a file. */
function bounded(layout: KvLayout): KvLayout | null {
  const { spec } = layout;
  const told = spec === null ? layout : { ...layout, spec: { ...spec, source: 'decision log' } };
  return JSON.stringify(told).length > MAX_LAYOUT_CHARS ? null : told;
}

function isNews(before: InstanceLine, after: InstanceLine, ageMs: number): boolean {
  if (ageMs >= LONGEST_MS || before.capacityState !== after.capacityState) return true;
  if (ageMs < SHORTEST_MS) return false;
  const { maxSequences, gpuTotalBytes } = before;
  if (maxSequences !== after.maxSequences || gpuTotalBytes !== after.gpuTotalBytes) return true;
  const [old, now] = [before.capacityUnits, after.capacityUnits];
  if (old === null || now === null) return old !== now;
  return Math.abs(now - old) > NOTICEABLE_SHARE * Math.max(old, now);
}
