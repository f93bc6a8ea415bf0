/**
 * Lines into a file that is put aside when it is full. Nobody waits for the
 * disk: lines wait in memory up to a limit, and beyond it they are dropped and
 * counted, which the file itself tells once it can be written again.
 */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';

export interface RotatingFileOptions {
  /** A file grown to it is renamed to `.1`, the one of that name to `.2`, and so on. */
  readonly maxBytes: number;
  /** Renamed ones that are kept. */
  readonly keep: number;
  readonly maxWaitingBytes: number;
  /** The line that tells of dropped ones. */
  readonly droppedLine: (lines: number) => string;
  /** Lines that a file begins with that takes the place of another; left out: none. */
  readonly headLines?: () => readonly string[];
  /** Called when it can't be written, once until it can again. */
  readonly onTrouble: (why: string) => void;
}

const CLOSE_WAIT_MS = 2_000;

export class RotatingFile {
  readonly #path: string;
  readonly #options: RotatingFileOptions;
  #file: FileHandle | null;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #droppedInAll = 0;
  #isTroubled = false;
  #hasWritten = false;
  #flushing: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, options: RotatingFileOptions) {
    this.#path = path;
    this.#file = file;
    this.#options = options;
  }

  /** Goes on at the end of what is there. @throws Error when it can't be opened for writing */
  static async open(path: string, options: RotatingFileOptions): Promise<RotatingFile> {
    return new RotatingFile(path, await openAtEnd(path), options);
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
    const bytes = await this.#bytesThere();
    const isFull = bytes > 0 && bytes + chunk.length > this.#options.maxBytes;
    if (isFull) await this.#rotate();
    // One that was moved away or emptied is followed by a new one as well.
    const isNext = isFull || (bytes === 0 && this.#hasWritten);
    this.#file ??= await openAtEnd(this.#path);
    await this.#file.appendFile(isNext ? Buffer.concat([this.#head(), chunk]) : chunk);
    this.#hasWritten = true;
  }

  #head(): Buffer {
    return Buffer.from((this.#options.headLines?.() ?? []).map((line) => `${line}\n`).join(''));
  }

  /** Of what its path names. A file that is no longer there by its name is let go of. */
  async #bytesThere(): Promise<number> {
    const there = await stat(this.#path).catch(ignoreMissing);
    const open = await this.#file?.stat();
    if (open !== undefined && (open.ino !== there?.ino || open.dev !== there.dev)) {
      await this.#file?.close();
      this.#file = null;
    }
    return there?.size ?? 0;
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
async function openAtEnd(path: string): Promise<FileHandle> {
  const file = await open(path, 'a+', 0o600);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error(`${path} is no regular file`);
    if (stats.size > 0) {
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, stats.size - 1);
      if (buffer[0] !== 0x0a) await file.appendFile('\n');
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error;
}
