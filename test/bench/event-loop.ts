/**
 * How long any body can hold up the event loop of a gate. The gate runs in a process of its own,
 * its client and its backend in this one. `node --import ./test/bench/typescript.mjs` runs this file.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile, table } from '../support/figures.ts';
import { startStubBackend } from '../support/stub-backend.ts';
import { HOSTILE_BODIES, type HostileBody } from './hostile-bodies.ts';
import type { Blocks, FromGate } from './watched-gate.ts';

export interface BlockFigure {
  readonly name: string;
  /** The longest block of the best round: a neighbour on the machine can only make one longer. */
  readonly wallMs: number;
  /** The most work of the gate's own between two turns of its loop, of the round in the middle. */
  readonly workMs: number;
  /** As `wallMs`, of pauses as long in which nothing was asked. */
  readonly idleWallMs: number;
  readonly seconds: number;
  readonly residentMb: number;
}

export interface LoopLoad {
  readonly bytes?: number;
  readonly rounds?: number;
  /** No further round once one was this good. */
  readonly enoughMs?: number;
  /** Bodies at the same time. */
  readonly together?: number;
  readonly only?: (body: HostileBody) => boolean;
}

const MIB = 1024 * 1024;
const LIMIT_BYTES = 64 * MIB;

class WatchedGate {
  readonly #child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(flags: object): Promise<WatchedGate> {
    const child = fork(new URL('./watched-gate.ts', import.meta.url), [JSON.stringify(flags)], {
      execArgv: ['--import', new URL('./typescript.mjs', import.meta.url).href],
    });
    const [message] = (await once(child, 'message')) as [FromGate];
    if (message.told !== 'url') throw new Error('the gate did not start');
    return new WatchedGate(child, message.url);
  }

  /** The longest block since this was asked last. */
  async blocks(): Promise<Blocks> {
    this.#child.send('blocks');
    const [message] = (await once(this.#child, 'message')) as [FromGate];
    if (message.told !== 'blocks') throw new Error('the gate started a second time');
    return message;
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}

async function post(url: string, body: HostileBody, bytes: number): Promise<number> {
  const pieces = [...body.pieces(bytes)];
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const sending = request(url + body.path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(body.chunkBytes === null ? { 'content-length': length } : {}),
    },
  });
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
  // What is refused before its end is not taken to its end.
  sending.on('error', () => {});
  await sendAll(sending, pieces, body.chunkBytes);
  const [answer] = await answered;
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode ?? 0;
}

async function sendAll(
  sending: ClientRequest,
  pieces: readonly Buffer[],
  chunkBytes: number | null,
): Promise<void> {
  for (const piece of pieces) {
    const step = chunkBytes ?? piece.length;
    let goesOn = true;
    for (let at = 0; at < piece.length; at += step) {
      goesOn = sending.write(piece.subarray(at, at + step));
    }
    if (!goesOn) await once(sending, 'drain');
  }
  sending.end();
}

async function figureOf(
  gate: WatchedGate,
  body: HostileBody,
  { bytes = LIMIT_BYTES, rounds = 3, enoughMs = 0, together = 1 }: LoopLoad,
): Promise<BlockFigure> {
  const seen: Blocks[] = [];
  const idle: Blocks[] = [];
  let tookMs = 0;
  for (let round = 0; round < rounds; round += 1) {
    await gate.blocks();
    const startedMs = performance.now();
    const sent = Array.from({ length: together }, () => post(gate.url, body, bytes));
    for (const status of await Promise.all(sent)) {
      if (status !== body.status) throw new Error(`${body.name}: ${status}`);
    }
    tookMs = performance.now() - startedMs;
    seen.push(await gate.blocks());
    await sleep(Math.min(tookMs, 500));
    idle.push(await gate.blocks());
    if ((seen.at(-1)?.wallMs ?? 0) < enoughMs) break;
  }
  return {
    name: body.name,
    wallMs: Math.min(...seen.map(({ wallMs }) => wallMs)),
    workMs: percentile(
      seen.map(({ workMs }) => workMs),
      50,
    ),
    idleWallMs: Math.min(...idle.map(({ wallMs }) => wallMs)),
    seconds: tookMs / 1_000,
    residentMb: Math.max(...seen.map(({ residentBytes }) => residentBytes)) / MIB,
  };
}

/** The longest block of the event loop while bodies of each kind are read, decided on and forwarded. */
export async function measureBlocks(load: LoopLoad = {}): Promise<readonly BlockFigure[]> {
  const bodies = HOSTILE_BODIES.filter(load.only ?? (() => true));
  const figures: BlockFigure[] = [];
  for (const contextTokens of new Set(bodies.map((body) => body.contextTokens))) {
    const alike = bodies.filter((body) => body.contextTokens === contextTokens);
    figures.push(...(await measureWith(contextTokens, alike, load)));
  }
  return figures;
}

async function measureWith(
  contextTokens: number,
  bodies: readonly HostileBody[],
  load: LoopLoad,
): Promise<readonly BlockFigure[]> {
  const backend = await startStubBackend({ contextTokens, keepsBodies: false });
  const gate = await WatchedGate.start({
    backend: [backend.url],
    'kv-layout': 'unified',
    'gpu-source': 'none',
    'drain-timeout': 0,
  });
  try {
    // The first long body a process reads meets code that is not compiled yet.
    for (const body of HOSTILE_BODIES.slice(0, 1)) await post(gate.url, body, LIMIT_BYTES);
    const figures: BlockFigure[] = [];
    for (const body of bodies) figures.push(await figureOf(gate, body, load));
    return figures;
  } finally {
    await gate.stop();
    await backend.stop();
  }
}

if (process.argv[1] === import.meta.filename) {
  const [bytes = LIMIT_BYTES, together = 1, rounds = 3, only = ''] = process.argv.slice(2);
  const load = { bytes: Number(bytes), together: Number(together), rounds: Number(rounds) };
  const figures = await measureBlocks({ ...load, only: ({ name }) => name.includes(only) });
  const rows = figures.map(({ name, wallMs, workMs, idleWallMs, seconds, residentMb }) => [
    name,
    ...[workMs, wallMs, idleWallMs].map((ms) => `${ms.toFixed(1)} ms`),
    `${seconds.toFixed(2)} s`,
    `${residentMb.toFixed(0)} MB`,
  ]);
  console.info(table([['body', 'own work', 'wall', 'idle', 'took', 'resident'], ...rows]));
}
