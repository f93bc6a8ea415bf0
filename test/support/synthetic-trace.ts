/** Traces made up by rule: prompts and outputs of many lengths, in an uneven stream. */
import { type Trace, traceOf } from '../../proxy/simulate/traces/trace.ts';

/** @param seed another one gives other requests */
export function syntheticTrace(requests: number, seed = 1): Trace {
  let state = seed;
  const drawn = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  let atMs = 0;
  return traceOf(
    Array.from({ length: requests }, () => {
      atMs += -1_000 * Math.log(1 - drawn());
      return {
        atMs,
        promptTokens: 50 + Math.floor(3_000 * drawn() ** 2),
        outputTokens: 1 + Math.floor(400 * drawn() ** 2),
      };
    }),
  );
}

export function asAzureCsv(trace: Trace): string {
  const rows = Array.from(trace.atMs, (atMs, row) => {
    const time = new Date(Date.UTC(2024, 0, 1) + atMs).toISOString();
    const text = time.replace('T', ' ').replace('Z', '0000');
    return `${text},${trace.promptTokens[row]},${trace.outputTokens[row]}`;
  });
  return ['TIMESTAMP,ContextTokens,GeneratedTokens', ...rows, ''].join('\n');
}
