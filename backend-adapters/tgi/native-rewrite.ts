/** The splices inside `parameters` that make a native request what was granted. */
import type { Edit } from '../../proxy/json/types.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { Rewrite, ScannedRequest } from '../adapter.ts';
import { closeNested, openNested } from '../nested-fields.ts';
import type { RewriteGrant } from '../openai-rewrite.ts';
import { PARAMETERS } from './native-request.ts';

const UNTOUCHED: Rewrite = { edits: [], changed: [], skipped: [], asksForUsage: false };

/** Asking for `details` would tell the usage, but would show in the events of the client. */
export function rewriteNative(
  request: ScannedRequest,
  shape: RequestShape,
  grant: RewriteGrant,
): Rewrite {
  const nested = openNested(request, PARAMETERS);
  if ('invalid' in nested) return UNTOUCHED;
  const { outputTokens } = grant;
  const asked = shape.requestedOutputTokens;
  const lowered = outputTokens !== null && (asked === null || asked > outputTokens);
  const sampling = samplingEdits(shape, grant.sampling);
  const inner: Edit[] = [
    ...(lowered ? [{ key: 'max_new_tokens', json: String(outputTokens) }] : []),
    ...sampling.edits,
    ...keepsSampling(request, lowered || sampling.edits.length > 0),
  ];
  const edit = closeNested(PARAMETERS, nested, inner);
  return {
    edits: edit === null ? [] : [edit],
    changed: inner.map(({ key }) => `${PARAMETERS}.${key}`),
    skipped: sampling.skipped,
    asksForUsage: false,
  };
}

/** A request without parameters samples, one with any does not unless it says so. */
function keepsSampling(request: ScannedRequest, isChanged: boolean): readonly Edit[] {
  const isAbsent = !request.object.members.has(PARAMETERS);
  return isChanged && isAbsent ? [{ key: 'do_sample', json: 'true' }] : [];
}

/**
 * Temperature 0 is refused here, and any other value would make a greedy
 * request sample (validation.rs).
 */
function samplingEdits(
  { temperature, topP }: RequestShape,
  granted: RewriteGrant['sampling'],
): { readonly edits: readonly Edit[]; readonly skipped: readonly string[] } {
  if (temperature === 0) return { edits: [], skipped: [] };
  const edits: Edit[] = [];
  const skipped: string[] = [];
  if (granted.temperature === 0) skipped.push('temperature');
  else if (granted.temperature !== undefined && granted.temperature < (temperature ?? Infinity)) {
    edits.push({ key: 'temperature', json: String(granted.temperature) });
  }
  if (granted.topP !== undefined && granted.topP < Math.min(1, topP ?? Infinity)) {
    edits.push({ key: 'top_p', json: String(granted.topP) });
  }
  return { edits, skipped };
}
