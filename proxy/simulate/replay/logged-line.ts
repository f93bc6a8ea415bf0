/** A line of the decision log as a replay needs it, each field checked. */
import { chargeOf } from '../../memory/charge.ts';
import type { KvLayout } from '../../memory/kv-layout.ts';
import { ENDS, type EndedBy } from '../../policy/ended-by.ts';
import { type Decision, REASONING_EFFORTS, type RequestShape } from '../../policy/types.ts';
import { FieldError, type Fields, parsedFields } from './line-fields.ts';

export interface LoggedDecision {
  readonly is: 'decision';
  readonly request: string;
  readonly timeMs: number;
  readonly arrivedMs: number;
  readonly action: Decision['action'];
  readonly reason: string;
  /** It was let in whatever was decided. */
  readonly observed: boolean;
  readonly level: string;
  readonly instance: string | null;
  readonly path: string;
  readonly shape: RequestShape;
  readonly neverDegrade: boolean;
  /** The median of its forecast; null where there was none. */
  readonly forecastTokens: number | null;
}

export interface LoggedEnd {
  readonly is: 'settled';
  readonly request: string;
  readonly instance: string;
  readonly promptTokensTold: number | null;
  readonly outputTokens: number;
  readonly endedBy: EndedBy;
  readonly ttftMs: number | null;
  readonly totalMs: number;
}

export interface LoggedInstance {
  readonly is: 'instance';
  readonly timeMs: number;
  readonly instance: string;
  readonly pool: string;
  readonly large: boolean;
  readonly layout: KvLayout;
  readonly capacityUnits: number | null;
  readonly maxSequences: number | null;
  readonly gpuTotalBytes: number | null;
}

export interface LoggedSettings {
  readonly is: 'settings';
  readonly values: Readonly<Record<string, unknown>>;
}

export type LoggedLine =
  | LoggedDecision
  | LoggedEnd
  | LoggedInstance
  | LoggedSettings
  | { readonly is: 'other' }
  /** @param why names the field */
  | { readonly is: 'bad'; readonly why: string };

/**
 * What takes longer is a broken line. A replay looks at its engines twice a second
 * while something runs or waits, so one such line would keep it at it for years.
 */
export const LONGEST_MS = 86_400_000;

const ACTIONS = ['accept', 'shrink', 'route', 'queue', 'reject'] as const;
const KINDS = ['chat', 'completion', 'embedding'] as const;
const SOURCES = ['bytes', 'engine', 'tokenizer', 'token-ids', 'media'] as const;
const MEMORY_MODELS = ['dynamic', 'paged', 'slots'] as const;

/** Never throws. */
export function loggedLine(line: string): LoggedLine {
  try {
    const fields = parsedFields(line);
    if (fields.value('v') !== 1) throw new FieldError('v is not 1');
    switch (fields.value('type')) {
      case 'decision':
        return decisionFrom(fields);
      case 'settled':
        return endFrom(fields);
      case 'instance':
        return instanceFrom(fields);
      case 'settings':
        return { is: 'settings', values: fields.object('values') };
      case 'dropped':
        return { is: 'other' };
      default:
        throw new FieldError('type is none of this log');
    }
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { is: 'bad', why: error.message };
  }
}

function decisionFrom(fields: Fields): LoggedDecision {
  const forecast = fields.value('forecast');
  return {
    is: 'decision',
    request: fields.text('request'),
    timeMs: fields.count('timeMs'),
    arrivedMs: arrivalFrom(fields),
    action: fields.oneOf('action', ACTIONS),
    reason: fields.text('reason'),
    observed: fields.flag('observed'),
    level: fields.text('level'),
    instance: fields.textOrNull('instance'),
    path: fields.text('path'),
    shape: shapeFrom(fields),
    neverDegrade: fields.flag('neverDegrade'),
    forecastTokens: forecast === null ? null : fields.inside('forecast').count('q50Tokens'),
  };
}

function arrivalFrom(fields: Fields): number {
  const arrivedMs = fields.count('arrivedMs');
  const waitedMs = fields.count('timeMs') - arrivedMs;
  if (waitedMs > LONGEST_MS) throw new FieldError('arrivedMs is more than a day before timeMs');
  return arrivedMs;
}

function shapeFrom(fields: Fields): RequestShape {
  const prompt = fields.inside('promptTokens');
  const [prompts, samplesPerPrompt] = [fields.count('prompts'), fields.count('samplesPerPrompt')];
  if (!(prompts >= 1 && samplesPerPrompt >= 1)) throw new FieldError('prompts is no count');
  const bounds = { lo: prompt.count('lo'), hi: prompt.count('hi') };
  if (bounds.hi < bounds.lo) throw new FieldError('promptTokens.hi is below lo');
  const effort = fields.value('effort');
  return {
    kind: fields.oneOf('kind', KINDS),
    model: fields.textOrNull('model'),
    promptTokens: {
      ...bounds,
      expected: prompt.count('expected'),
      source: prompt.oneOf('source', SOURCES),
    },
    prompts,
    samplesPerPrompt,
    requestedOutputTokens: fields.countOrNull('maxTokensAsked'),
    stream: fields.flag('stream'),
    temperature: fields.countOrNull('temperature'),
    topP: fields.countOrNull('topP'),
    reasoningEffort: REASONING_EFFORTS.find((word) => word === effort) ?? null,
    hasTools: fields.flag('tools'),
    hasResponseFormat: fields.flag('responseFormat'),
  };
}

function endFrom(fields: Fields): LoggedEnd {
  return {
    is: 'settled',
    request: fields.text('request'),
    instance: fields.text('instance'),
    promptTokensTold: fields.countOrNull('promptTokensTold'),
    outputTokens: fields.count('outputTokens'),
    endedBy: fields.oneOf('endedBy', ENDS),
    ttftMs: fields.countOrNull('ttftMs'),
    totalMs: durationFrom(fields),
  };
}

function durationFrom(fields: Fields): number {
  const totalMs = fields.count('totalMs');
  if (totalMs > LONGEST_MS) throw new FieldError('totalMs is more than a day');
  return totalMs;
}

function instanceFrom(fields: Fields): LoggedLine {
  // It was too long to be told.
  if (fields.value('layout') === null) return { is: 'other' };
  const memoryModel = fields.oneOf('memoryModel', MEMORY_MODELS);
  return {
    is: 'instance',
    timeMs: fields.count('timeMs'),
    instance: fields.text('instance'),
    pool: fields.text('pool'),
    large: fields.flag('large'),
    layout: layoutFrom(fields, memoryModel),
    capacityUnits: fields.countOrNull('capacityUnits'),
    maxSequences: fields.countOrNull('maxSequences'),
    gpuTotalBytes: fields.countOrNull('gpuTotalBytes'),
  };
}

/** A layout that charges can be made from: whatever is missing in it would show in them. */
function layoutFrom(fields: Fields, memoryModel: KvLayout['model']): KvLayout {
  const layout = fields.object('layout');
  if (layout.model !== memoryModel) throw new FieldError('layout.model is not memoryModel');
  const made = layout as unknown as KvLayout;
  if (!canCharge(made)) throw new FieldError('layout is not complete');
  return made;
}

function canCharge(layout: KvLayout): boolean {
  try {
    const { peakUnits, prefillUnits, finalUnits } = chargeOf(layout, 1_000, 100, 1, 1);
    return [peakUnits, prefillUnits, finalUnits].every((units) => units >= 0 && units < 2 ** 53);
  } catch {
    return false;
  }
}
