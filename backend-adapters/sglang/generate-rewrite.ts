/** The splices inside `sampling_params` that make a `/generate` what was granted. */
import type { Edit } from '../../proxy/json/types.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { Rewrite, ScannedRequest } from '../adapter.ts';
import { closeNested, openNested } from '../nested-fields.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { RequestFields } from '../request-fields.ts';
import { SAMPLING } from './generate-request.ts';

const UNTOUCHED: Rewrite = { edits: [], changed: [], skipped: [], asksForUsage: false };

/** Usage is in every event. */
export function rewriteGenerate(
  request: ScannedRequest,
  shape: RequestShape,
  { outputTokens, sampling }: RewriteGrant,
): Rewrite {
  const nested = openNested(request, SAMPLING);
  if ('invalid' in nested) return UNTOUCHED;
  const inner: Edit[] = [];
  const asked = shape.requestedOutputTokens;
  if (outputTokens !== null && (asked === null || asked > outputTokens)) {
    inner.push({ key: 'max_new_tokens', json: String(outputTokens) });
    const floor = new RequestFields(nested).integer('min_new_tokens', { min: 0, max: MAX_INT32 });
    // The engine refuses a floor above the limit.
    if (floor !== null && floor > outputTokens) {
      inner.push({ key: 'min_new_tokens', json: String(outputTokens) });
    }
  }
  const { temperature, topP } = sampling;
  if (temperature !== undefined && temperature < (shape.temperature ?? Infinity)) {
    inner.push({ key: 'temperature', json: String(temperature) });
  }
  if (topP !== undefined && topP < (shape.topP ?? Infinity)) {
    inner.push({ key: 'top_p', json: String(topP) });
  }
  const edit = closeNested(SAMPLING, nested, inner);
  return {
    edits: edit === null ? [] : [edit],
    changed: inner.map(({ key }) => `${SAMPLING}.${key}`),
    skipped: [],
    asksForUsage: false,
  };
}
