/**
 * The requests of a log as they are played again: when each came, what it asked
 * for, how long its output was, and how long it took. What never ran is guessed.
 */
import { Speeds } from '../../state/speeds.ts';
import { Quantiles } from '../quantiles.ts';
import type { SimulatedRequest } from '../workload.ts';
import { LONGEST_MS, type LoggedDecision, type LoggedEnd } from './logged-line.ts';
import type { LoggedRequest } from './logged-traffic.ts';

/** Before the first request comes the engines are read. */
export const LEAD_MS = 1_000;
/** Of a request nothing is known of in a log in which none ran. */
const GUESSED_TOKENS = 256;
const ANY = 'any';

export interface ReplayRequest extends SimulatedRequest {
  readonly asked: LoggedDecision;
  readonly logged: LoggedCourse;
  /** From its start to the first token; of one that was not streamed it is guessed. */
  readonly ttftMs: number;
  /** For all of `outputTokens`. */
  readonly totalMs: number;
  /** `cut`: at a limit that kvgate set, so that it is at least as long. */
  readonly length: 'known' | 'cut' | 'guessed';
}

/** What became of it in the log. */
export interface LoggedCourse {
  /** `left`: nothing was decided after it had begun to wait. */
  readonly outcome: 'admitted' | 'refused' | 'left';
  readonly reason: string;
  /** Where it was let in; null where it was not, or where that is not told. */
  readonly instance: string | null;
  /** Until what was decided last. */
  readonly waitedMs: number;
}

export function replayRequests(logged: readonly LoggedRequest[]): readonly ReplayRequest[] {
  const speeds = new Speeds();
  const lengths = new Quantiles();
  for (const { first, end } of logged) {
    if (end === null) continue;
    lengths.add(end.outputTokens);
    const promptTokens = end.promptTokensTold ?? first.shape.promptTokens.expected;
    speeds.learn(ANY, { ...end, promptTokens });
  }
  const usualTokens = lengths.at(0.5) ?? GUESSED_TOKENS;
  const startMs = (logged[0]?.first.arrivedMs ?? 0) - LEAD_MS;
  return logged.map(({ first, last, end }, index) => ({
    index,
    id: first.request,
    atMs: first.arrivedMs - startMs,
    promptTokens: end?.promptTokensTold ?? first.shape.promptTokens.expected,
    askedTokens: first.shape.requestedOutputTokens ?? Number.POSITIVE_INFINITY,
    tenant: 'log',
    asked: first,
    logged: courseOf(first, last, end),
    ...(end === null ? guessed(first, usualTokens, speeds) : known(first, end, speeds)),
  }));
}

type Run = Pick<ReplayRequest, 'outputTokens' | 'ttftMs' | 'totalMs' | 'length'>;

function known({ shape }: LoggedDecision, end: LoggedEnd, speeds: Speeds): Run {
  const { outputTokens, totalMs, endedBy } = end;
  const readingMs = speeds.durationMs(ANY, shape.promptTokens.expected, 0) ?? 0;
  return {
    outputTokens,
    totalMs,
    ttftMs: Math.min(end.ttftMs ?? readingMs, totalMs),
    length: endedBy === 'set_limit' ? 'cut' : 'known',
  };
}

function guessed(
  { shape, forecastTokens }: LoggedDecision,
  usualTokens: number,
  speeds: Speeds,
): Run {
  const wanted = shape.kind === 'embedding' ? 0 : (forecastTokens ?? usualTokens);
  const outputTokens = Math.min(wanted, shape.requestedOutputTokens ?? wanted);
  const { expected } = shape.promptTokens;
  const guessedMs = (tokens: number) =>
    Math.min(LONGEST_MS, speeds.durationMs(ANY, expected, tokens) ?? 0);
  return {
    outputTokens,
    ttftMs: guessedMs(0),
    totalMs: guessedMs(outputTokens),
    length: 'guessed',
  };
}

function courseOf(
  { arrivedMs }: LoggedDecision,
  { action, reason, observed, timeMs, ...last }: LoggedDecision,
  end: LoggedEnd | null,
): LoggedCourse {
  const waitedMs = Math.max(0, timeMs - arrivedMs);
  const nowhere = { reason, instance: null, waitedMs };
  if (action === 'reject' && !observed) return { ...nowhere, outcome: 'refused' };
  if (action === 'queue' && !observed) return { ...nowhere, outcome: 'left' };
  return { outcome: 'admitted', reason, instance: end?.instance ?? last.instance, waitedMs };
}
