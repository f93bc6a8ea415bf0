/** Which reader a body of SGLang's goes to. */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from '../adapter.ts';
import { parseByRoute } from '../by-route.ts';
import { parseEmbedding } from '../pooling-request.ts';
import { DIALECT, NATIVE_EMBEDDINGS, REFUSED_FIELDS } from './dialect.ts';
import { parseGenerate } from './generate-request.ts';
import { BOTH_INPUTS, holds } from './inputs.ts';

const NATIVE_POOLING: ReadonlySet<string> = new Set(['/encode', '/classify']);

export function parseSglang(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const { route, object } = request;
  if (route.kind === 'native-text') return parseGenerate(request);
  if (NATIVE_POOLING.has(route.path)) {
    if (holds(request, 'text') && holds(request, 'input_ids')) return BOTH_INPUTS;
    const dialect = { ...DIALECT, refusedFields: REFUSED_FIELDS };
    return parseEmbedding(request, dialect, NATIVE_EMBEDDINGS, facts);
  }
  if (route.kind === 'ranking') {
    // Content parts may be images, and their texts are not told apart (V1RerankReqInput).
    for (const name of ['query', 'documents', 'items']) {
      if ((object.members.get(name)?.keyBytes ?? 0) === 0) continue;
      return { invalid: `${name} must hold nothing but texts`, param: name };
    }
  }
  return parseByRoute(request, DIALECT, facts);
}
