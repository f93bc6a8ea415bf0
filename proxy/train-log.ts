/** Reads decision logs line by line, however large they are. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type ReadLine, readLine } from './state/settled-line.ts';

/** What `kvgate train` can't go on with. */
export class TrainError extends Error {
  readonly code = 'cannot_train';
  /** The option that names what is wrong; null: the options are sound, what is in the logs is not. */
  readonly option: 'log' | 'state-dir' | null;

  constructor(message: string, option: TrainError['option']) {
    super(message);
    this.option = option;
  }
}

/** Far above any line of a log: what is longer is none. */
const MAX_LINE_CHARS = 65_536;

export interface FoundInLogs {
  readonly answers: number;
  readonly badLines: number;
  /** File, line and what is wrong with the first of them; null where there is none. */
  readonly firstBad: string | null;
}

type Answer = Extract<ReadLine, { readonly is: 'answer' }>;

/**
 * Goes through all logs in their order. A bad line is counted, not fatal.
 * @throws TrainError when a file can't be read
 */
export async function readLog(
  logs: readonly string[],
  onAnswer: (answer: Answer) => void,
): Promise<FoundInLogs> {
  let answers = 0;
  let badLines = 0;
  let firstBad: string | null = null;
  for (const path of logs) {
    let number = 0;
    for await (const line of linesOf(path)) {
      number += 1;
      if (line.trim() === '') continue;
      const read: ReadLine =
        line.length > MAX_LINE_CHARS ? { is: 'bad', why: 'is too long' } : readLine(line);
      if (read.is === 'bad') {
        badLines += 1;
        firstBad ??= `the first is ${path}:${number}: ${read.why}`;
      } else if (read.is === 'answer') {
        answers += 1;
        onAnswer(read);
      }
    }
  }
  return { answers, badLines, firstBad };
}

/** A line that is too long comes as its first part, and as one line. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  try {
    // A pipe has nothing left for the second reading, and may never end it.
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
    throw new TrainError(`${path} can't be read: ${messageOf(error)}`, 'log');
  }
  if (rest !== '') yield rest;
}

function bounded(text: string): string {
  return text.slice(0, MAX_LINE_CHARS + 1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
