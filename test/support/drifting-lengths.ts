/** Workloads: one whose answers change their length while it runs, by the hour and at once, and one where they don't. */
import { randomStream } from '../../backend-adapters/simulated-server/hash.ts';
import type { TraceRow } from './trace-coverage.ts';

/** Short questions, documents, and long contexts that are only summed up. */
const USES = [
  { promptTokens: 200, medianTokens: 160, spread: 0.5 },
  { promptTokens: 1_500, medianTokens: 350, spread: 0.3 },
  { promptTokens: 9_000, medianTokens: 70, spread: 0.9 },
];

/**
 * Lengths are log-normal. Their median swings by a quarter over 5,000 requests,
 * doubles at two fifths and falls to 0.8 of the first at four fifths of them.
 */
export function driftingRows(count: number, seed: number): readonly TraceRow[] {
  return rowsOf(count, seed, (index) => {
    const swing = 1 + 0.25 * Math.sin((2 * Math.PI * index) / 5_000);
    return swing * (index < count * 0.4 ? 1 : index < count * 0.8 ? 2 : 0.8);
  });
}

/** The same uses, with lengths that stay as they are. */
export function steadyRows(count: number, seed: number): readonly TraceRow[] {
  return rowsOf(count, seed, () => 1);
}

function rowsOf(
  count: number,
  seed: number,
  factorAt: (index: number) => number,
): readonly TraceRow[] {
  const random = randomStream(seed);
  return Array.from({ length: count }, (_, index) => {
    const use = USES[Math.floor(random() * USES.length)] ?? { ...USES[0] };
    const { promptTokens = 1, medianTokens = 1, spread = 1 } = use;
    const length = medianTokens * factorAt(index) * Math.exp(spread * normal(random));
    return {
      promptTokens: Math.round(promptTokens * (0.8 + 0.4 * random())),
      outputTokens: Math.max(1, Math.round(length)),
    };
  });
}

/** Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
