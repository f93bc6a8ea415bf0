import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '../state/clock.ts';
import { MAX_LINE_CHARS, SMI_QUERY_FIELDS } from './nvidia-smi-parser.ts';

/** How long a child may take to end after SIGTERM. */
export const TERM_GRACE_MS = 2_000;
const STDERR_CHARS = 200;

/** From the manual page of nvidia-smi, "RETURN VALUE". */
const EXIT_MEANINGS: ReadonlyMap<number, string> = new Map([
  [2, 'an argument is not valid for this version'],
  [3, 'the GPU does not support the query'],
  [4, 'no permission'],
  [6, 'no GPU was found'],
  [8, 'the external power cables of a GPU are not attached'],
  [9, 'the NVIDIA driver is not loaded'],
  [10, 'the kernel has an interrupt problem with a GPU'],
  [12, 'the NVML library was not found'],
  [13, 'the NVML library is too old for the query'],
  [14, 'the infoROM of a GPU is corrupted'],
  [15, 'a GPU has fallen off the bus'],
]);

export interface SmiChildEvents {
  /** One line of standard output, at most `MAX_LINE_CHARS` + 1 characters of it. */
  line(text: string): void;
  /** The process is gone; called once. `why` is null when `kill` ended it. */
  ended(why: string | null): void;
}

/** One running `nvidia-smi -lms`. The constructor throws if the system refuses to start any. */
export class SmiChild {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #gone: Promise<void>;
  #killed = false;
  #cancelSigkill = (): void => {};

  constructor(command: string, pollIntervalMs: number, clock: Clock, events: SmiChildEvents) {
    this.#clock = clock;
    const query = `--query-gpu=${SMI_QUERY_FIELDS.join(',')}`;
    const loop = ['-lms', String(pollIntervalMs)];
    this.#child = spawn(command, [query, '--format=csv,noheader,nounits', ...loop], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    });

    let startError: NodeJS.ErrnoException | null = null;
    let stderr = '';
    this.#child.on('error', (error) => {
      startError = error;
    });
    readLines(this.#child, events);
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_CHARS);
    });

    // 'close' and not 'exit': the last line, which often says why, may come after the exit.
    this.#gone = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.#cancelSigkill();
        resolve();
        events.ended(this.#killed ? null : endOf(command, startError, code, signal, stderr));
      });
    });
  }

  /**
   * Asks the process to end, and forces it after `TERM_GRACE_MS`. A process
   * that hangs in the driver outlives even that; `ended` comes when it is gone.
   *
   * @returns resolves when the process is gone
   */
  kill(): Promise<void> {
    if (!this.#killed) {
      this.#killed = true;
      // Whatever inherited the pipes must not keep them open, and dies of its next write.
      this.#child.stdout?.destroy();
      this.#child.stderr?.destroy();
      this.#child.kill('SIGTERM');
      this.#cancelSigkill = this.#clock.after(TERM_GRACE_MS, () => {
        this.#child.kill('SIGKILL');
        // A process that cannot be killed must not keep this one from exiting.
        this.#child.unref();
      });
    }
    return this.#gone;
  }
}

/** Cuts standard output into lines and keeps no more of a line than tells that it is too long. */
function readLines(child: ChildProcess, events: SmiChildEvents): void {
  let partial = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const pieces = chunk.split('\n');
    const last = pieces.pop() ?? '';
    for (const piece of pieces) {
      events.line((partial + piece).slice(0, MAX_LINE_CHARS + 1));
      partial = '';
    }
    partial = (partial + last).slice(0, MAX_LINE_CHARS + 1);
  });
  child.stdout?.on('end', () => {
    if (partial !== '') events.line(partial);
  });
}

function endOf(
  command: string,
  startError: NodeJS.ErrnoException | null,
  code: number | null,
  signal: NodeJS.Signals | null,
  stderr: string,
): string {
  if (startError?.code === 'ENOENT') return `${command} was not found`;
  if (startError?.code === 'EACCES') return `${command} may not be executed`;
  if (startError !== null) return `${command} could not be started: ${startError.message}`;
  const meaning = EXIT_MEANINGS.get(code ?? -1);
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  const said = stderr.trim();
  return `${command} ${how}${meaning ? ` (${meaning})` : ''}${said ? `: ${said}` : ''}`;
}
