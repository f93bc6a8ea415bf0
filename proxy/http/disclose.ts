/** What is disclosed of a decision: the headers of an answer, and the optional `metadata` object. */
import { createHash } from 'node:crypto';
import type { Adapter, GenerationRoute } from '../../backend-adapters/adapter.ts';
import { canonicalJson } from '../json/canonical.ts';
import { smallValue, splicedPieces } from '../json/splice.ts';
import type { ScannedObject } from '../json/types.ts';
import type { Decision, Priority, RequestShape } from '../policy/types.ts';
import type { Admitted } from '../state/admission-result.ts';
import { tagsOf } from '../state/instance-tags.ts';
import { priorityHeader } from './priority-header.ts';
import type { ReadAnswer } from './read-answer.ts';
import type { Headers } from './respond.ts';

/** The form that cache keys are made from; it changes when the canonical prompt changes. */
export const PROMPT_VERSION = 'canonical-1';

/** Longer prompts get no key here: hashing them would hold up everybody else. */
const MAX_KEYED_BYTES = 256 * 1024;
/**
 * Of these, what is no text: brackets, names, numbers, escapes. To sort and write
 * it costs many times what text does (256 KiB of empty lists: 13 ms).
 */
const MAX_KEYED_STRUCTURE_BYTES = 64 * 1024;

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
 * whitespace and key order; null for prompts over 256 KiB, or of little but structure.
 */
export function cacheKeyOf(body: Uint8Array, object: ScannedObject): string | null {
  const members = PROMPT_MEMBERS.flatMap((key) => object.members.get(key) ?? []);
  let bytes = 0;
  let structureBytes = 0;
  for (const { kind, valueStart, valueEnd, stringBytes } of members) {
    const written = valueEnd - valueStart;
    bytes += written;
    if (kind !== 'string') structureBytes += written - stringBytes;
  }
  if (bytes > MAX_KEYED_BYTES || structureBytes > MAX_KEYED_STRUCTURE_BYTES) return null;
  const prompt = Object.fromEntries(
    members.map((member) => [member.key, smallValue(body, member, MAX_KEYED_BYTES)]),
  );
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

export function requeuedHeader(requeued: number): Headers {
  return requeued === 0 ? {} : { 'x-kvgate-requeued': String(requeued) };
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
  /** How often it was taken back from an engine, to wait again. */
  readonly requeued: number;
  /** The class that holds, where the client asked for one. */
  readonly priority: Priority | null;
}

export function disclosureHeaders(disclosure: Disclosure): Headers {
  const { admitted, shape, changed, skipped, cacheKey } = disclosure;
  const granted = admitted.decision.grant.outputTokens ?? shape.requestedOutputTokens;
  const requested = shape.requestedOutputTokens ?? 'none';
  return {
    ...decisionHeaders(disclosure.requestId, admitted.reported),
    ...priorityHeader(disclosure.priority),
    'x-kvgate-instance': admitted.instance.name,
    ...(granted === null || shape.kind === 'embedding'
      ? {}
      : { 'x-kvgate-max-tokens': `requested=${requested}; granted=${granted}` }),
    ...(changed.length === 0 ? {} : { 'x-kvgate-changed': changed.join(', ') }),
    ...(skipped.length === 0 ? {} : { 'x-kvgate-skipped': skipped.join(', ') }),
    ...(cacheKey === null ? {} : { 'x-kvgate-cache-key': cacheKey }),
    ...requeuedHeader(disclosure.requeued),
    ...(admitted.queuedMs > 0
      ? { 'x-kvgate-queued-ms': String(Math.round(admitted.queuedMs)) }
      : {}),
  };
}

/** The JSON answer with a `metadata` object added; an answer that is no JSON object stays as it is. */
export function withMetadata(
  answer: Buffer,
  { object, value }: ReadAnswer,
  disclosure: Disclosure,
  adapter: Pick<Adapter, 'usage'>,
): Buffer {
  if (object === null) return answer;
  const { admitted, cacheKey, shape } = disclosure;
  const tags = tagsOf(admitted.instance);
  const usage = adapter.usage(value, disclosure.route);
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
  return Buffer.concat(splicedPieces(answer, object, edits));
}
