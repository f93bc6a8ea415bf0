/** A log beside what is played of it: with the settings it was written under, and with others. */

import type { TokenBounds } from '../../policy/types.ts';
import type { AdmissionRequest } from '../../state/judge.ts';
import { LengthForecasts } from '../../state/lengths/length-forecasts.ts';
import type { Front, Stage } from '../front.ts';
import { KvgateFront } from '../kvgate-front.ts';
import type { SimulationClock } from '../virtual-clock.ts';
import type { SimulatedRequest } from '../workload.ts';
import type { Rules } from '../world.ts';
import { LoggedFront } from './logged-front.ts';
import type { LoggedInstance } from './logged-line.ts';
import type { LoggedTraffic } from './logged-traffic.ts';
import { ReplayHost } from './replay-host.ts';
import { LEAD_MS, type ReplayRequest, replayRequests } from './replay-request.ts';
import { ReplayRun } from './replay-run.ts';
import { type ReplayFigures, ReplayScore } from './replay-score.ts';

export interface Play {
  readonly traffic: LoggedTraffic;
  /** In force when the log was written. */
  readonly control: Rules;
  readonly changed: Rules;
  readonly pollIntervalMs: number;
}

export interface Played {
  readonly requests: number;
  /** Requests whose output is a guess, by why: they were refused or left, or the log does not have their end. */
  readonly guessed: { readonly neverRan: number; readonly noEnd: number };
  /** Cut at a limit that kvgate set: their outputs would have been at least as long. */
  readonly cut: number;
  readonly log: ReplayFigures;
  readonly control: ReplayFigures;
  readonly changed: ReplayFigures;
  /** Shares of requests on which the control decides first, or in the end, as the log has it. */
  readonly reproduced: { readonly action: number; readonly outcome: number };
}

/** @param traffic with at least one request and one instance */
export async function playLog({
  traffic,
  control,
  changed,
  pollIntervalMs,
}: Play): Promise<Played> {
  const logged = traffic.requests;
  const requests = replayRequests(logged);
  const startMs = (logged[0]?.first.arrivedMs ?? 0) - LEAD_MS;
  const lines = byInstance(traffic.instances);
  const parts = { requests, lines, startMs, pollIntervalMs, margins: control.memory };
  const score = new ReplayScore(traffic.levels);
  for (const request of requests) {
    score.decidedFirst(request, request.asked.action, request.asked.reason);
  }
  const asTold = { ...parts, requests: requests.map(endingEarlier) };
  await play(asTold, score, (stage, clock) => new LoggedFront(courseOf(requests), stage, clock));
  const controlScore = await playRules(parts, control);
  const changedScore = await playRules(parts, changed);
  const guessed = requests.filter(({ length }) => length === 'guessed');
  const noEnd = guessed.filter(({ logged: { outcome } }) => outcome === 'admitted').length;
  return {
    requests: requests.length,
    guessed: { neverRan: guessed.length - noEnd, noEnd },
    cut: requests.filter(({ length }) => length === 'cut').length,
    log: score.figures(lines.length),
    control: controlScore.figures(lines.length),
    changed: changedScore.figures(lines.length),
    reproduced: reproducedBy(controlScore, requests),
  };
}

/**
 * Times of a log are whole milliseconds, and an answer's time is told to its very
 * end, when its memory has been given to the next: as told, the two would overlap.
 */
function endingEarlier(request: ReplayRequest): ReplayRequest {
  return { ...request, totalMs: Math.max(request.ttftMs, request.totalMs - ROUNDING_MS) };
}

const ROUNDING_MS = 5;

interface PlayParts {
  readonly requests: readonly ReplayRequest[];
  readonly lines: readonly (readonly LoggedInstance[])[];
  readonly startMs: number;
  readonly pollIntervalMs: number;
  readonly margins: Rules['memory'];
}

async function playRules(parts: PlayParts, rules: Rules): Promise<ReplayScore> {
  const score = new ReplayScore();
  const paths = [...new Set(parts.requests.map(({ asked }) => asked.path))];
  const of = ({ index }: SimulatedRequest) => requestAt(parts.requests, index);
  const counts = parts.requests.some(({ asked }) => isCounted(asked.shape.promptTokens));
  await play(parts, score, (stage, clock, hosts) => {
    return new KvgateFront({
      ...{ rules, clock, stage },
      members: hosts.map((host) => host.member(paths, () => clock.nowMs())),
      lengths: new LengthForecasts(),
      asked: (request) => admissionRequest(of(request), counts),
      onLevel: () => {},
      onDecided: (request, decision) => {
        score.level(decision);
        score.decidedFirst(of(request), decision.action, decision.reason);
      },
    });
  });
  return score;
}

async function play(
  { requests, lines, startMs, pollIntervalMs, margins }: PlayParts,
  score: ReplayScore,
  frontOf: (stage: Stage, clock: SimulationClock, hosts: readonly ReplayHost[]) => Front,
): Promise<void> {
  const hosts = lines.map((told) => new ReplayHost(told, startMs, margins));
  const front = (stage: Stage, clock: SimulationClock) => frontOf(stage, clock, hosts);
  await new ReplayRun({ requests, hosts, score, pollIntervalMs, front }).run();
}

/**
 * Whose it was, its class and its session are not in the log.
 * @param counts whether the gate could count prompts: it does so where that may change a decision
 */
function admissionRequest(request: ReplayRequest, counts: boolean): AdmissionRequest {
  const { id, tenant, asked, promptTokens: tokens } = request;
  const { path, shape, neverDegrade } = asked;
  const exact = { lo: tokens, expected: tokens, hi: tokens, source: 'engine' } as const;
  const countTokens = counts && !isCounted(shape.promptTokens) ? async () => exact : null;
  return { id, path, shape, neverDegrade, tenant, session: null, priority: 'normal', countTokens };
}

function isCounted({ source }: TokenBounds): boolean {
  return source === 'engine' || source === 'tokenizer';
}

function reproducedBy(score: ReplayScore, requests: readonly ReplayRequest[]) {
  const ended = requests.filter(({ logged }) => logged.outcome !== 'left');
  return {
    action: shareOf(requests, ({ index, asked }) => score.firstActions[index] === asked.action),
    outcome: shareOf(ended, ({ index, logged }) => score.outcomes[index] === logged.outcome),
  };
}

function shareOf(
  requests: readonly ReplayRequest[],
  isSo: (request: ReplayRequest) => boolean,
): number {
  return requests.length === 0 ? 1 : requests.filter(isSo).length / requests.length;
}

function courseOf(requests: readonly ReplayRequest[]) {
  return ({ index }: SimulatedRequest) => requestAt(requests, index).logged;
}

function requestAt(requests: readonly ReplayRequest[], index: number): ReplayRequest {
  const request = requests[index];
  if (request === undefined) throw new RangeError(`no request ${index}`);
  return request;
}

function byInstance(lines: readonly LoggedInstance[]): readonly (readonly LoggedInstance[])[] {
  const found = new Map<string, LoggedInstance[]>();
  for (const line of lines) {
    const told = found.get(line.instance);
    if (told === undefined) found.set(line.instance, [line]);
    else told.push(line);
  }
  return [...found.values()].map((told) => told.sort((a, b) => a.timeMs - b.timeMs));
}
