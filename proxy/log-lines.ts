/** The lines of a decision log, however large it is. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** The file can't be read; the message says which and why. */
export class UnreadableLog extends Error {
  readonly code = 'unreadable_log';
}

/** Far above any line of a log: what is longer is none. */
export const MAX_LINE_CHARS = 65_536;

/**
 * A line that is too long comes as its first part, and as one line.
 * @throws UnreadableLog
 */
export async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  try {
    // A pipe has nothing left for a second reading, and may never end the first.
    if (!(await stat(path)).isFile()) throw new Error('it is no regular file');
    for await (const chunk of createReadStream(path, 'utf8')) {
      const [first = '', ...others] = String(chunk).split('\n');
      rest = bounded(rest + first);
      for (const next of others) {
        yield rest;
        rest = bounded(next);
      }
    }
  } catch (error) {
    throw new UnreadableLog(`${path} can't be read: ${messageOf(error)}`);
  }
  if (rest !== '') yield rest;
}

function bounded(text: string): string {
  return text.slice(0, MAX_LINE_CHARS + 1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
