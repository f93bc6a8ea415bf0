/**
 * The splices that turn a body into what was granted. No value is ever raised,
 * and a body that already stays within the grant is left as it came.
 */
import type { Edit } from '../proxy/json/types.ts';
import type { RequestShape, Sampling } from '../proxy/policy/types.ts';
import type { Rewrite, ScannedRequest } from './adapter.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { limitValue, MAX_INT32, outputLimit } from './openai-limits.ts';
import { RequestFields } from './request-fields.ts';

export interface RewriteGrant {
  readonly outputTokens: number | null;
  readonly sampling: Sampling;
}

export function rewriteOpenAi(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const sampling = samplingEdits(dialect, shape, grant.sampling);
  const edits = [...outputEdits(request, dialect, shape, grant.outputTokens), ...sampling.edits];
  return { edits, changed: edits.map((edit) => edit.key), skipped: sampling.skipped };
}

/**
 * A limit that the engine would ignore is the wish of the caller and part of
 * the grant, so it is written in the engine's own field even where nothing else changes.
 */
function outputEdits(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  shape: RequestShape,
  granted: number | null,
): readonly Edit[] {
  const fields = new RequestFields(request);
  const limit = outputLimit(fields, dialect, shape.kind);
  const outputTokens = granted ?? limit.asked;
  if (outputTokens === null || (limit.engine !== null && limit.engine <= outputTokens)) return [];
  const json = String(outputTokens);
  const names = dialect.outputLimits[shape.kind];
  const edits = names
    .filter((name) => {
      const value = limitValue(fields, dialect, shape.kind, name);
      return value !== null && (value === -1 || value > outputTokens);
    })
    .map((key) => ({ key, json }));
  if (edits.length === 0) edits.push({ key: names[names.length - 1] ?? 'max_tokens', json });
  if (dialect.outputFloor !== null) {
    const floor = fields.integer(dialect.outputFloor, { min: 0, max: MAX_INT32 });
    if (floor !== null && floor > outputTokens) edits.push({ key: dialect.outputFloor, json });
  }
  return edits;
}

function samplingEdits(
  dialect: OpenAiDialect,
  shape: RequestShape,
  sampling: Sampling,
): { readonly edits: readonly Edit[]; readonly skipped: readonly string[] } {
  const edits: Edit[] = [];
  const skipped: string[] = [];
  const { temperature, topP } = sampling;
  if (temperature !== undefined && temperature < (shape.temperature ?? Number.POSITIVE_INFINITY)) {
    const refused = temperature === 0 && dialect.greedyNeedsOneSample && shape.samplesPerPrompt > 1;
    if (refused) skipped.push('temperature');
    else edits.push({ key: 'temperature', json: String(temperature) });
  }
  if (topP !== undefined && topP < (shape.topP ?? Number.POSITIVE_INFINITY)) {
    edits.push({ key: 'top_p', json: String(topP) });
  }
  return { edits, skipped };
}
