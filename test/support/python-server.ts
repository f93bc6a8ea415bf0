/** Finds and runs model servers written in Python; see test/real/install-*.sh. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { becomesReady, freePort, tailOf } from './model-process.ts';
import { type ChildProcessInfo, descendantsOf } from './process-tree.ts';
import { writeTinyGptOss } from './tiny-gpt-oss-hf.ts';

type Engine = 'transformers' | 'vllm';

export type FoundPython =
  | { readonly found: true; readonly python: string }
  | { readonly found: false; readonly why: string };

export interface RunningPythonServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The model's folder: with `transformers serve` also its name. */
  readonly model: string;
  /** Its processes besides the one that answers. */
  children(): readonly ChildProcessInfo[];
  /** Kills it with all its processes, and waits until they are gone; does nothing when it has ended. */
  stop(): Promise<void>;
  /** The last LOG_CHARS of what it printed, both streams together. */
  log(): string;
}

/** vLLM imports torch three times over: 20 s on two idle cores, a minute on busy ones. */
const READY_TIMEOUT_MS = 120_000;
const LOG_CHARS = 1024 * 1024;

/**
 * An interpreter that has the engine: what TRANSFORMERS_PYTHON or VLLM_PYTHON
 * names, or what the install script has made.
 */
export function findPython(engine: Engine): FoundPython {
  const variable = `${engine.toUpperCase()}_PYTHON`;
  const told = process.env[variable];
  if (told !== undefined && told !== '') {
    return can(constants.X_OK, told)
      ? { found: true, python: told }
      : { found: false, why: `${variable} is ${told}, which can't be executed` };
  }
  const cache = process.env.KVGATE_CACHE ?? join(homedir(), '.cache', 'kvgate');
  const folder = join(cache, 'python-servers');
  return can(constants.R_OK, join(folder, `${engine}.installed`))
    ? { found: true, python: join(folder, 'bin', 'python') }
    : { found: false, why: `no ${engine}; get one with test/real/install-${engine}.sh` };
}

/**
 * Starts the engine with the tiny gpt-oss model on a free loopback port and
 * waits until it serves. Rejects, with its log, when it ends or isn't ready in
 * READY_TIMEOUT_MS.
 * @param command the interpreter's arguments, for the model's folder and the port
 */
export async function startPythonServer(
  engine: Engine,
  command: (model: string, port: string) => readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<RunningPythonServer> {
  const found = findPython(engine);
  if (!found.found) throw new Error(found.why);
  const model = join(tmpdir(), 'kvgate-tiny-gpt-oss-hf');
  writeTinyGptOss(model);
  const port = await freePort();
  const env = { ...process.env, ...offline(), ...variables };
  // In this process group, so that an interrupted run takes the server down with it.
  const child = spawn(found.python, command(model, String(port)), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const log = tailOf(child, LOG_CHARS);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const children = () => descendantsOf(pid);
  const stop = async () => {
    // Those of a server that has ended have another parent, and end by themselves.
    const processes = child.exitCode === null && child.signalCode === null ? children() : [];
    child.kill('SIGKILL');
    for (const { pid: each } of processes) killOne(each);
    await ended;
  };
  const url = `http://127.0.0.1:${port}`;
  if (!(await becomesReady(url, child, 200, READY_TIMEOUT_MS))) {
    await stop();
    throw new Error(`${engine} did not get ready:\n${log()}`);
  }
  return { url, port, pid, model, children, stop, log };
}

/** Nothing is fetched or reported, and what Python compiles is kept for the next start. */
function offline(): Record<string, string> {
  const home = join(tmpdir(), 'kvgate-huggingface');
  // Without this folder GET /v1/models of `transformers serve` is a 500.
  mkdirSync(join(home, 'hub'), { recursive: true });
  return { HF_HOME: home, HF_HUB_OFFLINE: '1', DO_NOT_TRACK: '1', PYTHONDONTWRITEBYTECODE: '' };
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended since it was listed.
  }
}

function can(mode: number, path: string): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
