/**
 * A gate in a process of its own, whose event loop is watched: its parent's work does not count.
 * Takes the gate's flags as JSON; answers each message with the longest block since the last one.
 */
import { existsSync, openSync, readSync } from 'node:fs';
import { startTestGate } from '../support/gate.ts';

/** Of the timer that watches: what it is late by is what held up the loop. */
const TICK_MS = 1;

export interface Blocks {
  readonly told: 'blocks';
  /** The longest time between two ticks: other processes' turns on the machine are in it. */
  readonly wallMs: number;
  /**
   * The most processor time that the main thread took between two ticks: what
   * holds up an event loop is its own work, whoever else is busy. Where the system
   * does not tell of one thread, that of all of them, the garbage collector's included.
   */
  readonly workMs: number;
  readonly residentBytes: number;
}

export type FromGate = { readonly told: 'url'; readonly url: string } | Blocks;

const tell = (message: FromGate): void => void process.send?.(message);

/** Linux, sched-stats.rst: nanoseconds on a processor come first. The main thread has the id of its process. */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const schedstat = existsSync(SCHEDSTAT) ? openSync(SCHEDSTAT, 'r') : null;
const line = Buffer.alloc(128);

function cpuMs(): number {
  if (schedstat !== null) {
    const bytes = readSync(schedstat, line, 0, line.length, 0);
    return Number(line.toString('latin1', 0, bytes).split(' ', 1)[0]) / 1_000_000;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

let wallMs = 0;
let workMs = 0;
let atMs = performance.now();
let usedMs = cpuMs();

function tick(): void {
  const nowMs = performance.now();
  const nowUsedMs = cpuMs();
  const gapMs = nowMs - atMs;
  wallMs = Math.max(wallMs, gapMs - TICK_MS);
  workMs = Math.max(workMs, Math.min(gapMs, nowUsedMs - usedMs));
  atMs = nowMs;
  usedMs = nowUsedMs;
}

const gate = await startTestGate(JSON.parse(process.argv[2] ?? '{}'));
setInterval(tick, TICK_MS);
process.on('message', () => {
  tick();
  tell({ told: 'blocks', wallMs, workMs, residentBytes: process.memoryUsage.rss() });
  wallMs = 0;
  workMs = 0;
});
process.on('disconnect', () => process.exit());
tell({ told: 'url', url: gate.url });
