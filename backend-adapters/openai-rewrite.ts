/**
 * The splices that turn a body into what was granted. No value is ever raised,
 * and a body that already stays within the grant is left as it came.
 */
import { smallValue } from '../proxy/json/splice.ts';
import type { Edit } from '../proxy/json/types.ts';
import type { RequestShape, Sampling } from '../proxy/policy/types.ts';
import type { Rewrite, ScannedRequest } from './adapter.ts';
import { field } from './engine-answer.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { limitValue, MAX_INT32, outputLimit, outputRules } from './openai-limits.ts';
import { RequestFields } from './request-fields.ts';

export interface RewriteGrant {
  readonly outputTokens: number | null;
  readonly sampling: Sampling;
}

/** Of any body that has one limit of its output, and sampling by OpenAI's names. */
export function rewriteOpenAi(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const sampling = samplingEdits(dialect, shape, grant.sampling);
  // Newer APIs tell their usage without being asked.
  const isOlder = request.route.kind === 'chat' || request.route.kind === 'completion';
  const usage = isOlder && dialect.usageOnRequest && shape.stream ? usageEdit(request) : null;
  const edits = [
    ...outputEdits(request, dialect, grant.outputTokens),
    ...sampling.edits,
    ...(usage === null ? [] : [usage]),
  ];
  return {
    edits,
    changed: edits.map((edit) => edit.key),
    skipped: sampling.skipped,
    asksForUsage: usage !== null,
  };
}

/**
 * A limit that the engine would ignore is the wish of the caller and part of
 * the grant, so it is written in the engine's own field even where nothing else changes.
 */
function outputEdits(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  granted: number | null,
): readonly Edit[] {
  const { kind } = request.route;
  const rules = outputRules(dialect, kind);
  if (rules === null) return [];
  const fields = new RequestFields(request);
  const limit = outputLimit(fields, dialect, kind);
  const outputTokens = granted ?? limit.asked;
  if (outputTokens === null || (limit.engine !== null && limit.engine <= outputTokens)) return [];
  const json = String(outputTokens);
  const { names, floor } = rules;
  const edits = names
    .filter((name) => {
      const value = limitValue(fields, dialect, kind, name);
      return value !== null && (value === -1 || value > outputTokens);
    })
    .map((key) => ({ key, json }));
  if (edits.length === 0) edits.push({ key: names[names.length - 1] ?? 'max_tokens', json });
  if (floor !== null) {
    const least = fields.integer(floor, { min: 0, max: MAX_INT32 });
    if (least !== null && least > outputTokens) edits.push({ key: floor, json });
  }
  return edits;
}

/**
 * `stream_options` with the usage asked for, everything else in it kept; null
 * where the client asked already, or where asking would change its other
 * events too (vLLM's `continuous_usage_stats` needs both).
 */
function usageEdit(request: ScannedRequest): Edit | null {
  const member = new RequestFields(request).member('stream_options');
  if (member === null) return { key: 'stream_options', json: '{"include_usage":true}' };
  const options = member.kind === 'object' ? smallValue(request.body, member) : undefined;
  if (typeof options !== 'object' || options === null) return null;
  if (field(options, 'include_usage') === true) return null;
  if (field(options, 'continuous_usage_stats') === true) return null;
  return { key: 'stream_options', json: JSON.stringify({ ...options, include_usage: true }) };
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
