/**
 * Layer one of calibration: which of the ways to lay out KV an engine has, by
 * what it shows. The one in force stays until it is contradicted; a figure of
 * the engine's own contradicts at once, samples only when several that are
 * independent of each other agree on another way.
 */
import { dearest, type Hypothesis } from './hypotheses.ts';
import { isTold, type Observation, ratioOf } from './observation.ts';
import { isCorrectable } from './residual.ts';

/** Samples that have to agree before anything follows from them. */
export const SAMPLES_NEEDED = 3;
/** Of all evidence: that many strange pieces are no longer noise. */
const STRANGE_SHARE = 1 / 4;

/** An observation held against every hypothesis, once. */
export interface Evidence {
  readonly observation: Observation;
  /** Measured over predicted: 1 where they agree, null where it predicts nothing. */
  readonly ratios: ReadonlyMap<Hypothesis, number | null>;
}

export interface RuledOut {
  readonly hypothesis: Hypothesis;
  /** The latest that did. */
  readonly by: Observation;
}

export interface Identified {
  /** To be used. */
  readonly chosen: Hypothesis;
  /** All that are not ruled out. The chosen one is the dearest of them, or was in force before. */
  readonly survivors: readonly Hypothesis[];
  readonly ruledOut: readonly RuledOut[];
  /** No hypothesis is left: the one in force is kept, and somebody has to look. */
  readonly isUnexplained: boolean;
}

export function evidenceOf(hypotheses: readonly Hypothesis[], observation: Observation): Evidence {
  const ratios = new Map(
    hypotheses.map((hypothesis) => [hypothesis, ratioOf(hypothesis.layout, observation)]),
  );
  return { observation, ratios };
}

/**
 * @param evidence of these hypotheses; no request is in two pieces of it
 * @param current the hypothesis in force; the first where nothing was identified yet
 */
export function identify(
  hypotheses: readonly Hypothesis[],
  evidence: readonly Evidence[],
  current: Hypothesis,
): Identified {
  const trials = hypotheses.map((hypothesis) => ({
    hypothesis,
    against: new Set(evidence.filter((piece) => contradicts(piece, hypothesis))),
  }));
  const verdicts = trials.map((trial) => ({ ...trial, by: provenWrong(trial, trials) }));
  const ruledOut = verdicts.flatMap(({ hypothesis, by }) =>
    by === null ? [] : [{ hypothesis, by }],
  );
  const survivors = verdicts.filter(({ by }) => by === null).map(({ hypothesis }) => hypothesis);
  // Samples that nothing explains are no sign of another way, but of none that is known.
  const strange = evidence.filter(isStrange).length;
  const isUnexplained =
    survivors.length === 0 ||
    (strange >= SAMPLES_NEEDED && strange >= STRANGE_SHARE * evidence.length);
  const chosen = survivors.includes(current) ? current : (dearest(survivors) ?? current);
  return { chosen: isUnexplained ? current : chosen, survivors, ruledOut, isUnexplained };
}

function contradicts({ ratios }: Evidence, hypothesis: Hypothesis): boolean {
  return (ratios.get(hypothesis) ?? 1) !== 1;
}

interface Trial {
  readonly hypothesis: Hypothesis;
  readonly against: ReadonlySet<Evidence>;
}

/**
 * The observation that settles that it is wrong; null while none does. Samples
 * do where another way explains several of those against it, and more in all.
 */
function provenWrong({ against }: Trial, trials: readonly Trial[]): Observation | null {
  const pieces = [...against];
  const told = pieces.findLast(({ observation }) => isTold(observation));
  if (told !== undefined) return told.observation;
  if (pieces.length < SAMPLES_NEEDED) return null;
  const isBeaten = trials.some(
    (other) =>
      other.against.size < against.size &&
      pieces.filter((piece) => !other.against.has(piece)).length >= SAMPLES_NEEDED,
  );
  return isBeaten ? (pieces.at(-1)?.observation ?? null) : null;
}

/** Whether it is no small error of any hypothesis either: that is for the residual. */
function isStrange({ ratios }: Evidence): boolean {
  return [...ratios.values()].every((ratio) => ratio !== null && !isCorrectable(ratio));
}
