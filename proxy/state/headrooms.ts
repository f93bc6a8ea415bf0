/**
 * The headroom of each instance: what share of its capacity leases may fill
 * together (`--dynamic-thresholds`, policy/headroom.ts). Signals come from what
 * an engine counts and says. That a process is gone is none: whoever restarts
 * a server would be taken for an overrun.
 */
import {
  cutHeadroom,
  fullHeadroom,
  type HeadroomSignal,
  type HeadroomState,
  raiseHeadroom,
} from '../policy/headroom.ts';
import type { Clock } from './clock.ts';
import { tagsOf } from './instance-tags.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Instance, Pools } from './pools.ts';

/** Why a share moved: a signal, a quiet time, or an operator who switched the moving off. */
export type HeadroomCause = HeadroomSignal | 'quiet' | 'off';

export interface HeadroomsParts {
  readonly pools: Pools;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'headroomMoved'>;
}

export class Headrooms {
  readonly #parts: HeadroomsParts;
  /** Of those that were ever cut; others are at 1. */
  readonly #states = new Map<string, HeadroomState>();
  /** Preemptions that an engine counted at its last reading. */
  readonly #preemptions = new Map<string, number>();
  #enabled: boolean;

  constructor(parts: HeadroomsParts, enabled: boolean) {
    this.#parts = parts;
    this.#enabled = enabled;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** Off restores the fixed values at once; on again begins with them. */
  enable(enabled: boolean): void {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#parts.log.info(`Dynamic thresholds ${enabled ? 'on' : 'off'}`);
    for (const [name, { share }] of this.#states) this.#moved(name, 'off', share, 1);
    this.#states.clear();
  }

  /** Share of the capacity that leases of the instance may fill together; 1: all of it. */
  shareOf(instance: string): number {
    return this.#states.get(instance)?.share ?? 1;
  }

  /** The instance was given too much. */
  signal(instance: string, signal: HeadroomSignal): void {
    if (!this.#enabled) return;
    const nowMs = this.#parts.clock.nowMs();
    const known = this.#states.get(instance) ?? fullHeadroom(nowMs);
    // What was quiet until now counts before what ends the quiet.
    const raised = raiseHeadroom(known, nowMs);
    this.#become(instance, raised, 'quiet');
    this.#become(instance, cutHeadroom(raised, signal, nowMs), signal);
  }

  /** Lets every share rise for which it was quiet long enough. */
  refresh(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const [name, state] of this.#states) {
      this.#become(name, raiseHeadroom(state, nowMs), 'quiet');
    }
  }

  /** An instance has changed: its engine may have counted a preemption. */
  observe({ name, health, latest }: Instance): void {
    // Whoever serves next may be another process, with counts of its own.
    if (health.state !== 'healthy') this.#preemptions.delete(name);
    const counted = latest?.reading.preemptions ?? null;
    if (health.state !== 'healthy' || counted === null) return;
    const before = this.#preemptions.get(name);
    this.#preemptions.set(name, counted);
    // The first count says nothing of now, and a lower one is that of a new process.
    if (before !== undefined && counted > before) this.signal(name, 'preemption');
  }

  #become(instance: string, state: HeadroomState, cause: HeadroomCause): void {
    const before = this.shareOf(instance);
    this.#states.set(instance, state);
    this.#moved(instance, cause, before, state.share);
  }

  #moved(name: string, cause: HeadroomCause, from: number, to: number): void {
    if (from === to) return;
    const { pools, log, metrics } = this.#parts;
    log.info('Headroom moved', { instance: name, cause, from, to });
    const instance = pools.get(name);
    if (instance !== undefined) metrics.headroomMoved(cause, tagsOf(instance));
  }
}
