/** Traces made up by rule: prompts and outputs of many lengths, in an uneven stream. */
import { type Trace, traceOf } from '../../proxy/simulate/traces/trace.ts';

interface Lengths {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Arrivals by chance, a second apart on the mean; `lengthsOf` draws what it needs from 0 to 1. */
function drawnTrace(requests: number, seed: number, lengthsOf: (drawn: () => number) => Lengths) {
  let state = seed;
  const drawn = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  let atMs = 0;
  return traceOf(
    Array.from({ length: requests }, () => {
      atMs += -1_000 * Math.log(1 - drawn());
      return { atMs, ...lengthsOf(drawn) };
    }),
  );
}

/** @param seed another one gives other requests */
export function syntheticTrace(requests: number, seed = 1): Trace {
  return drawnTrace(requests, seed, (drawn) => ({
    promptTokens: 50 + Math.floor(3_000 * drawn() ** 2),
    outputTokens: 1 + Math.floor(400 * drawn() ** 2),
  }));
}

export function asAzureCsv(trace: Trace): string {
  const rows = Array.from(trace.atMs, (atMs, row) => {
    const time = new Date(Date.UTC(2024, 0, 1) + atMs).toISOString();
    const text = time.replace('T', ' ').replace('Z', '0000');
    return `${text},${trace.promptTokens[row]},${trace.outputTokens[row]}`;
  });
  return ['TIMESTAMP,ContextTokens,GeneratedTokens', ...rows, ''].join('\n');
}

/** Quantiles of the Azure conversation trace of 2023, between which lengths are drawn. */
const CHAT_PROMPTS = [29, 181, 207, 396, 1_020, 1_189, 2_735, 4_083, 4_142, 6_212, 14_050] as const;
const CHAT_OUTPUTS = [16, 41, 54, 85, 129, 395, 424, 451, 601, 954, 1_000] as const;
const CHAT_SHARES = [0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1] as const;

/** Lengths as people chat: half of the prompts near a thousand tokens, and a long tail. */
export function chatTrace(requests: number, seed = 1): Trace {
  return drawnTrace(requests, seed, (drawn) => ({
    promptTokens: lengthAt(CHAT_PROMPTS, drawn()),
    outputTokens: lengthAt(CHAT_OUTPUTS, drawn()),
  }));
}

function lengthAt(lengths: readonly number[], share: number): number {
  const above = Math.max(
    1,
    CHAT_SHARES.findIndex((known) => known > share),
  );
  const [from = 0, until = 1] = [CHAT_SHARES[above - 1], CHAT_SHARES[above]];
  const [low = 1, high = 1] = [lengths[above - 1], lengths[above]];
  return Math.round(low + ((share - from) / (until - from)) * (high - low));
}
