/** Reads decision logs line by line, however large they are. */
import { linesOf, MAX_LINE_CHARS, UnreadableLog } from './log-lines.ts';
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
    for await (const line of readable(path)) {
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

async function* readable(path: string): AsyncGenerator<string> {
  try {
    yield* linesOf(path);
  } catch (error) {
    throw error instanceof UnreadableLog ? new TrainError(error.message, 'log') : error;
  }
}
