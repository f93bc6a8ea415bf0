/** A line of the decision log as `kvgate train` needs it: what was asked, and how long the answer was. */
import { ENDS } from '../policy/ended-by.ts';
import { type LengthKey, lengthKey } from '../policy/length-key.ts';
import { REASONING_EFFORTS } from '../policy/types.ts';
import type { LengthOutcome } from './lengths/length-forecasts.ts';

export type ReadLine =
  | { readonly is: 'answer'; readonly key: LengthKey; readonly outcome: LengthOutcome }
  /** A line of the log that says nothing of one answer's length. */
  | { readonly is: 'other' }
  | { readonly is: 'bad'; readonly why: string };

const OTHER_TYPES: readonly unknown[] = ['decision', 'dropped', 'instance', 'settings'];
const MOST_TOKENS = 2 ** 40;

/** Never throws. Learned from is what the log tells, not what was forecast at the time. */
export function readLine(line: string): ReadLine {
  const json = parsed(line);
  if (typeof json !== 'object' || json === null) return bad('is no JSON object');
  const fields = json as Readonly<Record<string, unknown>>;
  if (fields.v !== 1) return bad('v is not 1');
  if (OTHER_TYPES.includes(fields.type)) return { is: 'other' };
  if (fields.type !== 'settled') return bad('type is none of this log');

  const { path, kind, model, effort, tools, prompts, samplesPerPrompt, promptTokens } = fields;
  const { expected } = { expected: null, ...(promptTokens as object) };
  const endedBy = ENDS.find((word) => word === fields.endedBy);
  if (typeof path !== 'string') return bad('path is no text');
  if (model !== null && typeof model !== 'string') return bad('model is no text');
  if (typeof tools !== 'boolean') return bad('tools is neither true nor false');
  if (!isCount(prompts) || !isCount(samplesPerPrompt)) return bad('prompts is no count');
  if (!isCount(expected)) return bad('promptTokens.expected is no count');
  if (!isCount(fields.outputTokens)) return bad('outputTokens is no count');
  if (endedBy === undefined) return bad('endedBy is not known');

  if (kind === 'embedding' || prompts * samplesPerPrompt !== 1 || fields.outputTokens === 0) {
    return { is: 'other' };
  }
  const reasoningEffort = REASONING_EFFORTS.find((word) => word === effort) ?? null;
  const shape = { model, reasoningEffort, hasTools: tools, prompts };
  const { outputTokens } = fields;
  return {
    is: 'answer',
    key: lengthKey(shape, path, expected),
    outcome: { outputTokens, endedBy, forecastQ95Tokens: null },
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MOST_TOKENS;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function bad(why: string): ReadLine {
  return { is: 'bad', why };
}
