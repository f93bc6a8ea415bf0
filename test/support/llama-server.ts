/** Finds a real llama-server and runs it on the tiny model; see test/real/install-llama-server.sh. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { becomesReady, freePort, tailOf } from './model-process.ts';
import { writeTinyGguf } from './tiny-gguf.ts';

export type FoundLlamaServer =
  | { readonly found: true; readonly command: string }
  | { readonly found: false; readonly why: string };

export interface RunningLlamaServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Stops it in its tracks, lets it go on, or kills it without waiting. */
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void;
  /** Kills the server, and waits until it is gone; does nothing when it has ended. */
  stop(): Promise<void>;
  /** The last LOG_CHARS of what it printed, both streams together. */
  log(): string;
}

const READY_TIMEOUT_MS = 30_000;
const LOG_CHARS = 64 * 1024;

/**
 * Looks at LLAMA_SERVER, then on PATH, then where the install script puts it.
 * A wrapper script must end in `exec`: the pid it was started with is the server's.
 */
export function findLlamaServer(): FoundLlamaServer {
  const told = process.env.LLAMA_SERVER;
  if (told !== undefined && told !== '') {
    return isExecutable(told)
      ? { found: true, command: told }
      : { found: false, why: `LLAMA_SERVER is ${told}, which can't be executed` };
  }
  const cache = process.env.KVGATE_CACHE ?? join(homedir(), '.cache', 'kvgate');
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), cache];
  const command = folders.map((folder) => join(folder, 'llama-server')).find(isExecutable);
  return command === undefined
    ? { found: false, why: 'no llama-server; get one with test/real/install-llama-server.sh' }
    : { found: true, command };
}

export interface LlamaServerOptions {
  /** A free one where none is given. */
  readonly port?: number;
  /** `loading`: until it listens, though its model is not there yet. */
  readonly until?: 'ready' | 'loading';
  /** Without a model it is a router, whose models `args` name. */
  readonly model?: 'tiny' | 'none';
  /** Called with each line that it prints. */
  readonly onLine?: (line: string) => void;
}

/**
 * Starts llama-server with the tiny model on a loopback port and waits until it
 * serves. `args` are added to its command line, e.g. ['-c', '8192']. Rejects,
 * with its log, when it ends or isn't ready in READY_TIMEOUT_MS.
 */
export async function startLlamaServer(
  args: readonly string[],
  options: LlamaServerOptions = {},
): Promise<RunningLlamaServer> {
  const server = findLlamaServer();
  if (!server.found) throw new Error(server.why);
  const model = join(tmpdir(), 'kvgate-tiny-gpt-oss.gguf');
  writeTinyGguf(model);
  const port = options.port ?? (await freePort());
  const address = ['--host', '127.0.0.1', '--port', String(port)];
  // One thread: llama.cpp's threads spin at each barrier, and on a machine that is also busy with
  // the tests two of them generate ten times slower than one (measured: 208 and 2096 tokens/s).
  const what = options.model === 'none' ? [] : ['-m', model];
  const command = [...what, '-t', '1', ...address, ...args];
  // In this process group, so that an interrupted run takes the server down with it.
  const child = spawn(server.command, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = tailOf(child, LOG_CHARS);
  const { onLine } = options;
  if (onLine !== undefined) {
    for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', onLine);
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  await once(child, 'spawn');
  const url = `http://127.0.0.1:${port}`;
  const readyStatus = options.until === 'loading' ? 503 : 200;
  if (!(await becomesReady(url, child, readyStatus, READY_TIMEOUT_MS))) {
    await stop();
    throw new Error(`llama-server did not get ready:\n${log()}`);
  }
  const signal: RunningLlamaServer['signal'] = (name) => void child.kill(name);
  return { url, port, pid: child.pid ?? 0, signal, stop, log };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
