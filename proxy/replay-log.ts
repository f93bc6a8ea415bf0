/** Reads decision logs for `kvgate replay`, line by line. */
import { linesOf, MAX_LINE_CHARS } from './log-lines.ts';
import { type LoggedLine, loggedLine } from './simulate/replay/logged-line.ts';
import { LoggedTraffic } from './simulate/replay/logged-traffic.ts';

export interface ReadLogs {
  readonly traffic: LoggedTraffic;
  readonly lines: number;
  readonly badLines: number;
  /** File, line and field of the first of them; null where there is none. */
  readonly firstBad: string | null;
}

/** In the order given. @throws UnreadableLog */
export async function readLogs(paths: readonly string[]): Promise<ReadLogs> {
  const traffic = new LoggedTraffic();
  let lines = 0;
  let badLines = 0;
  let firstBad: string | null = null;
  for (const path of paths) {
    let number = 0;
    for await (const text of linesOf(path)) {
      number += 1;
      if (text.trim() === '') continue;
      lines += 1;
      const line: LoggedLine =
        text.length > MAX_LINE_CHARS ? { is: 'bad', why: 'is too long' } : loggedLine(text);
      if (line.is === 'bad') {
        badLines += 1;
        firstBad ??= `${path}:${number}: ${line.why}`;
      }
      traffic.add(line);
    }
  }
  return { traffic, lines, badLines, firstBad };
}
