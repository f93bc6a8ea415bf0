/** What is disclosed of a decision: the headers of an answer, and the optional `metadata` object. */
import { createHash } from 'node:crypto';
import type { Adapter, GenerationRoute } from '../../backend-adapters/adapter.ts';
import { canonicalJson } from '../json/canonical.ts';
import { JsonScanner } from '../json/scanner.ts';
import { smallValue, splice } from '../json/splice.ts';
import type { ScannedObject } from '../json/types.ts';
import type { Decision, RequestShape } from '../policy/types.ts';
import type { Admitted } from '../state/admission-result.ts';
import { tagsOf } from '../state/instance-tags.ts';
import type { Headers } from './respond.ts';

/** The form that cache keys are made from; it changes when the canonical prompt changes. */
export const PROMPT_VERSION = 'canonical-1';

/** Longer prompts get no key here: hashing them would hold up everybody else. */
const MAX_KEYED_BYTES = 256 * 1024;

/** The members that make the prompt: two requests that agree in them have the same prefix. */
const PROMPT_MEMBERS = [
  'model',
  'messages',
  'prompt',
  'system',
  'input',
  'inputs',
  'instructions',
  'suffix',
  'tools',
  'tool_choice',
  'response_format',
];

/**
 * SHA-256 of the canonical prompt, the same for the same request whatever its
 * whitespace and key order; null for prompts over 256 KiB.
 */
export function cacheKeyOf(body: Uint8Array, object: ScannedObject): string | null {
  const prompt: Record<string, unknown> = {};
  for (const key of PROMPT_MEMBERS) {
    const member = object.members.get(key);
    if (member === undefined) continue;
    if (member.valueEnd - member.valueStart > MAX_KEYED_BYTES) return null;
    prompt[key] = smallValue(body, member, MAX_KEYED_BYTES);
  }
  return createHash('sha256').update(canonicalJson(prompt)).digest('hex');
}

export function decisionHeaders(requestId: string, decision: Decision): Headers {
  return {
    'x-request-id': requestId,
    'x-kvgate-decision': decision.action,
    'x-kvgate-reason': decision.reason,
    'x-kvgate-level': decision.level,
  };
}

export interface Disclosure {
  readonly requestId: string;
  readonly route: GenerationRoute;
  readonly shape: RequestShape;
  readonly admitted: Admitted;
  /** Fields that were changed, and those that this engine can't express. */
  readonly changed: readonly string[];
  readonly skipped: readonly string[];
  readonly cacheKey: string | null;
}

export function disclosureHeaders(disclosure: Disclosure): Headers {
  const { admitted, shape, changed, skipped, cacheKey } = disclosure;
  const granted = admitted.decision.grant.outputTokens ?? shape.requestedOutputTokens;
  const requested = shape.requestedOutputTokens ?? 'none';
  return {
    ...decisionHeaders(disclosure.requestId, admitted.reported),
    'x-kvgate-instance': admitted.instance.name,
    ...(granted === null || shape.kind === 'embedding'
      ? {}
      : { 'x-kvgate-max-tokens': `requested=${requested}; granted=${granted}` }),
    ...(changed.length === 0 ? {} : { 'x-kvgate-changed': changed.join(', ') }),
    ...(skipped.length === 0 ? {} : { 'x-kvgate-skipped': skipped.join(', ') }),
    ...(cacheKey === null ? {} : { 'x-kvgate-cache-key': cacheKey }),
    ...(admitted.queuedMs > 0
      ? { 'x-kvgate-queued-ms': String(Math.round(admitted.queuedMs)) }
      : {}),
  };
}

/** The JSON answer with a `metadata` object added; an answer that is no JSON object stays as it is. */
export function withMetadata(
  answer: Buffer,
  disclosure: Disclosure,
  adapter: Pick<Adapter, 'usage'>,
): Buffer {
  const scanner = new JsonScanner();
  scanner.push(answer);
  const object = scanner.end();
  if ('code' in object) return answer;
  const { admitted, cacheKey, shape } = disclosure;
  const tags = tagsOf(admitted.instance);
  const usage = adapter.usage(JSON.parse(answer.toString('utf8')), disclosure.route);
  const metadata = {
    request_id: disclosure.requestId,
    model_id: tags.modelId,
    model_size: tags.modelSize,
    dtype: tags.dtype,
    gpu_mode: tags.gpuMode,
    prompt_version: PROMPT_VERSION,
    cache_key: cacheKey,
    cache_hit: usage?.cachedTokens == null ? null : usage.cachedTokens > 0,
    tokens_before: shape.requestedOutputTokens,
    tokens_after: admitted.decision.grant.outputTokens ?? shape.requestedOutputTokens,
    admission_action: admitted.reported.action,
  };
  const edits = [{ key: 'metadata', json: JSON.stringify(metadata) }];
  return Buffer.from(splice(answer, object, edits));
}
