/**
 * Bodies whose texts are evaluated and answered with numbers: embeddings, and
 * pairs that are compared (rerank, score). Each text or pair is a sequence
 * without output. Field names: OpenAI's embeddings (openai-node,
 * resources/embeddings.ts), vLLM (protocol.py of entrypoints/pooling),
 * llama.cpp (server-context.cpp, handle_embeddings_impl and post_rerank).
 */
import type { Member } from '../proxy/json/types.ts';
import { boundsFromBytes } from '../proxy/memory/token-bounds.ts';
import type { RequestShape } from '../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from './adapter.ts';
import { mediaTokens, writtenBytesOf } from './media.ts';
import type { EmbeddingRules, OpenAiDialect, RankingRules } from './openai-dialect.ts';
import {
  chatPrompt,
  completionPrompt,
  NO_PROMPT,
  type PromptSize,
  spanBytes,
  sumOf,
  withMedia,
} from './openai-prompt.ts';
import { refuseFields } from './openai-request.ts';
import { RequestFields } from './request-fields.ts';

/** Members beside a pair that a template for pairs may print, once for each. */
const PAIR_FIELDS = ['chat_template', 'chat_template_kwargs', 'instruction', 'instructions'];

export function parseEmbedding(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  rules: EmbeddingRules,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  refuseFields(fields, dialect.refusedFields);
  refuseFields(fields, rules.refusedFields);
  const given = rules.inputs.filter((name) => fields.member(name) !== null);
  const [name] = given.length > 0 ? given : rules.inputs;
  if (!rules.takesMessages || fields.member('messages') === null) {
    return shapeOf(fields, completionPrompt(fields, rules.prompts, name, facts.media));
  }
  if (given.length > 0) fields.refuse('messages', `messages can't be given beside ${name}`);
  return shapeOf(fields, chatPrompt(fields, facts));
}

export function parseRanking(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  { sides }: RankingRules,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  refuseFields(fields, dialect.refusedFields);
  const given = sides.flatMap(([a, b]) => {
    const one = fields.member(a);
    const other = fields.member(b);
    return one === null || other === null ? [] : [{ one, other }];
  });
  const [pair, ambiguous] = given;
  if (ambiguous !== undefined) {
    const { key } = ambiguous.other;
    fields.refuse(key, `${key} can't be given beside another pair of texts`);
  }
  if (pair !== undefined) return shapeOf(fields, pairsPrompt(fields, pair, facts));
  const asked = sides.find(([a, b]) => fields.isPresent(a) || fields.isPresent(b)) ?? sides[0];
  const missing = asked?.find((name) => fields.member(name) === null) ?? 'documents';
  fields.refuse(missing, `${missing} is required`);
  return shapeOf(fields, NO_PROMPT);
}

interface Pair {
  readonly one: Member;
  readonly other: Member;
}

/** A single text is compared with each of the others; two lists, one by one. */
function pairsPrompt(fields: RequestFields, { one, other }: Pair, facts: EngineFacts): PromptSize {
  for (const side of [one, other]) {
    if (!['string', 'array', 'object'].includes(side.kind)) {
      fields.refuse(side.key, `${side.key} must be a text or an array of texts`);
    } else if (side.kind === 'array' && side.children === 0) {
      fields.refuse(side.key, `${side.key} must not be empty`);
    }
  }
  const ones = textsIn(one);
  const others = textsIn(other);
  const pairs = Math.max(ones, others);
  if (ones !== pairs && ones > 1) {
    fields.refuse(one.key, `${one.key} must be one text or as many as ${other.key}`);
  }
  if (fields.problem !== null) return NO_PROMPT;
  const { framing, media } = facts;
  const besides = sumOf(
    PAIR_FIELDS.flatMap((name) => fields.member(name) ?? []),
    spanBytes,
  );
  const repeats = (side: Member) => (textsIn(side) === 1 ? pairs : 1);
  const repeated = (size: (side: Member) => number) =>
    sumOf([one, other], (side) => repeats(side) * size(side));
  const text = boundsFromBytes({
    // Long texts may be truncated, so nothing of them is sure.
    textBytes: 0,
    otherBytes: repeated(writtenBytesOf) + pairs * besides,
    messages: 2 * pairs,
    framing: { ...framing, baseTokens: pairs * framing.baseTokens },
  });
  const parts = repeated((side) => mediaTokens(fields, [side], media));
  return { promptTokens: withMedia(text, parts), prompts: pairs };
}

function textsIn(side: Member): number {
  return side.kind === 'array' ? side.children : 1;
}

/** No output, so nothing to stream, to sample or to shrink. */
function shapeOf(fields: RequestFields, prompt: PromptSize): RequestShape | InvalidRequest {
  const shape: RequestShape = {
    kind: 'embedding',
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: 1,
    requestedOutputTokens: 0,
    stream: false,
    temperature: null,
    topP: null,
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: false,
  };
  return fields.problem ?? shape;
}
