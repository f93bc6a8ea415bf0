/**
 * Lines into a file that is put aside when it is full. Nobody waits for the
 * disk: lines wait in memory up to a limit, and beyond it they are dropped and
 * counted, which the file itself tells once it can be written again.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';

export interface RotatingFileOptions {
  /** A file grown to it is renamed to `.1`, the one of that name to `.2`, and so on. */
  readonly maxBytes: number;
  /** Renamed ones that are kept. */
  readonly keep: number;
  readonly maxWaitingBytes: number;
  /** The line that tells of dropped ones. */
  readonly droppedLine: (lines: number) => string;
  /** Called when it can't be written, once until it can again. */
  readonly onTrouble: (why: string) => void;
}

const CLOSE_WAIT_MS = 2_000;

export class RotatingFile {
  readonly #path: string;
  readonly #options: RotatingFileOptions;
  #file: FileHandle | null;
  #bytes: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #droppedInAll = 0;
  #isTroubled = false;
  #flushing: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, bytes: number, options: RotatingFileOptions) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
    this.#options = options;
  }

  /** Goes on at the end of what is there. @throws Error when it can't be opened for writing */
  static async open(path: string, options: RotatingFileOptions): Promise<RotatingFile> {
    const { file, bytes } = await openAtEnd(path);
    return new RotatingFile(path, file, bytes, options);
  }

  /** Lines that were lost since it was opened. */
  get dropped(): number {
    return this.#droppedInAll;
  }

  /** @param line without its end */
  write(line: string): void {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#waitingBytes + bytes > this.#options.maxWaitingBytes) {
      this.#drop(1);
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += bytes;
    this.#flushing ??= this.#flush();
  }

  /** Writes what waits, as far as the disk takes it within 2 s. */
  async close(): Promise<void> {
    let giveUp: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      giveUp = setTimeout(resolve, CLOSE_WAIT_MS);
    });
    const closed = (async () => {
      await this.#flushing;
      await this.#file?.close();
      this.#file = null;
    })();
    await Promise.race([closed.catch(() => {}), patience]);
    clearTimeout(giveUp);
  }

  async #flush(): Promise<void> {
    // Whatever the same turn of the event loop brings goes out together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      const told = this.#dropped;
      const all = told > 0 ? [this.#options.droppedLine(told), ...lines] : lines;
      try {
        await this.#append(Buffer.from(`${all.join('\n')}\n`));
        this.#dropped -= told;
        this.#isTroubled = false;
      } catch (error) {
        this.#drop(lines.length);
        this.#tell(error);
        // It may have taken half a line; opening it again puts an end to that.
        await this.#file?.close().catch(() => {});
        this.#file = null;
      }
    }
    this.#flushing = null;
  }

  async #append(chunk: Buffer): Promise<void> {
    if (this.#bytes > 0 && this.#bytes + chunk.length > this.#options.maxBytes) {
      await this.#rotate();
    }
    if (this.#file === null) {
      const opened = await openAtEnd(this.#path);
      this.#file = opened.file;
      this.#bytes = opened.bytes;
    }
    await this.#file.appendFile(chunk);
    this.#bytes += chunk.length;
  }

  async #rotate(): Promise<void> {
    const { keep } = this.#options;
    const file = this.#file;
    this.#file = null;
    await file?.close();
    for (let index = keep - 1; index >= 1; index -= 1) {
      await rename(`${this.#path}.${index}`, `${this.#path}.${index + 1}`).catch(ignoreMissing);
    }
    if (keep > 0) await rename(this.#path, `${this.#path}.1`).catch(ignoreMissing);
    else await rm(this.#path, { force: true });
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#droppedInAll += lines;
  }

  #tell(error: unknown): void {
    if (!this.#isTroubled) {
      this.#options.onTrouble(error instanceof Error ? error.message : String(error));
    }
    this.#isTroubled = true;
  }
}

/** A last line that was cut short by a crash is ended, so that the next one is whole. */
async function openAtEnd(path: string): Promise<{ file: FileHandle; bytes: number }> {
  const file = await open(path, 'a+', 0o600);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error(`${path} is no regular file`);
    const { size } = stats;
    if (size === 0) return { file, bytes: 0 };
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
    if (buffer[0] === 0x0a) return { file, bytes: size };
    await file.appendFile('\n');
    return { file, bytes: size + 1 };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error;
}
