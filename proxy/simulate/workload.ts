/** The requests of a simulation: a trace, repeated, stretched in time and scaled. */
import type { Trace } from './traces/trace.ts';

export interface SimulatedRequest {
  readonly index: number;
  readonly id: string;
  readonly atMs: number;
  readonly promptTokens: number;
  /** What it becomes if nothing but its own limit stops it: at most `askedTokens`. */
  readonly outputTokens: number;
  readonly askedTokens: number;
  readonly tenant: string;
}

export interface WorkloadOptions {
  readonly requests: number;
  readonly promptScale: number;
  /** Output tokens that every request asks for. */
  readonly maxTokens: number;
  /** `limit`: every output runs to it, whatever the trace says. */
  readonly outputs: 'trace' | 'limit';
  /** A prompt is cut to what this has left beside the output asked for. */
  readonly contextTokens: number;
  readonly tenants: number;
  /** Requests of the first tenant for each one of another. */
  readonly firstTenantShare: number;
  readonly seed: number;
}

export class Workload {
  readonly #trace: Trace;
  readonly #options: WorkloadOptions;
  /** After so long the trace begins anew, a mean gap after its last request. */
  readonly #periodMs: number;
  /** Virtual milliseconds for each millisecond of the trace. */
  #timeScale = 1;

  constructor(trace: Trace, options: WorkloadOptions) {
    this.#trace = trace;
    this.#options = options;
    const lastMs = trace.atMs[trace.rows - 1] ?? 0;
    const gapMs = trace.rows > 1 ? lastMs / (trace.rows - 1) : 1_000;
    this.#periodMs = lastMs + Math.max(gapMs, 1e-3);
  }

  get requests(): number {
    return this.#options.requests;
  }

  /** Rows of the trace that are used, each as often as it is repeated. */
  get differentRequests(): number {
    return Math.min(this.requests, this.#trace.rows);
  }

  /** Brings the mean rate of arrivals to so many a second, bursts and lulls included. */
  arriveAt(requestsPerSecond: number): void {
    const perPass = this.differentRequests;
    const passMs = perPass < this.#trace.rows ? (this.#trace.atMs[perPass] ?? 0) : this.#periodMs;
    this.#timeScale = ((perPass / requestsPerSecond) * 1000) / Math.max(passMs, 1e-3);
  }

  at(index: number): SimulatedRequest {
    const { promptScale, maxTokens, outputs, contextTokens } = this.#options;
    const { rows, atMs, promptTokens, outputTokens } = this.#trace;
    const row = index % rows;
    const passMs = Math.floor(index / rows) * this.#periodMs;
    const askedTokens = Math.min(maxTokens, contextTokens - 1);
    const prompt = Math.max(1, Math.round((promptTokens[row] ?? 1) * promptScale));
    return {
      index,
      id: `r${index}`,
      atMs: (passMs + (atMs[row] ?? 0)) * this.#timeScale,
      promptTokens: Math.min(prompt, contextTokens - askedTokens),
      outputTokens:
        outputs === 'limit' ? askedTokens : Math.min(askedTokens, outputTokens[row] ?? 1),
      askedTokens,
      tenant: this.#tenantOf(index),
    };
  }

  #tenantOf(index: number): string {
    const { tenants, firstTenantShare, seed } = this.#options;
    if (tenants <= 1) return 'tenant-1';
    const drawn = drawnShare(seed, index) * (firstTenantShare + tenants - 1);
    return drawn < firstTenantShare
      ? 'tenant-1'
      : `tenant-${2 + Math.floor(drawn - firstTenantShare)}`;
  }
}

/** A number of [0, 1) that follows from seed and index alone (the finalizer of MurmurHash3). */
function drawnShare(seed: number, index: number): number {
  let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
