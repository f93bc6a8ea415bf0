/** The request that `kvgate estimate` is asked about: told in tokens, or read from a body. */
import type { RequestKind, ScannedRequest } from '../backend-adapters/adapter.ts';
import { DEFAULT_FRAMING } from '../backend-adapters/framing.ts';
import { adapterNamed } from '../backend-adapters/registry.ts';
import { readBounded } from './config/read-files.ts';
import type { EstimateValues } from './estimate-layout.ts';
import { JsonScanner } from './json/scanner.ts';
import type { KnownLayout } from './memory/estimate/layer-parts.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import { boundsFromCounts, type TokenBounds } from './memory/token-bounds.ts';
import { sequencesOf } from './policy/types.ts';
import { countPrompt } from './tokens/count-prompt.ts';

export interface AskedRequest {
  /** Of the longest prompt. */
  readonly promptTokens: TokenBounds;
  readonly prompts: number;
  /** null: neither the body nor the operator names any. */
  readonly maxTokens: number | null;
  readonly sequences: number;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;
const COUNT_BUDGET_MS = 20_000;

/** The member by which a body shows its kind. */
const TELLING: ReadonlyArray<readonly [member: string, kind: RequestKind]> = [
  ['system', 'messages'],
  ['messages', 'chat'],
  ['input', 'responses'],
  ['prompt', 'completion'],
];

/** @returns a sentence where the body can't be understood */
export async function bodyRequest(
  path: string,
  engine: EstimateValues['engine'],
  layout: KnownLayout,
): Promise<AskedRequest | string> {
  const file = readBounded(path, MAX_BODY_BYTES);
  if (!file.ok) return `${path} ${file.why}`;
  const body = Buffer.from(file.value, 'utf8');
  const scanner = new JsonScanner();
  scanner.push(body);
  const object = scanner.end();
  if ('code' in object) return `${path}: ${object.message}`;

  const kind = TELLING.find(([member]) => object.members.has(member))?.[1];
  const adapter = adapterNamed(engine);
  const route = adapter?.generationRoutes.find((each) => each.kind === kind);
  if (adapter === null || route === undefined) {
    return `${path} has no messages, input or prompt that ${engine} would answer`;
  }
  const shape = adapter.parse(
    { route, body, object },
    {
      layout,
      modelId: layout.spec.id,
      version: null,
      ranks: 1,
      media: layout.spec.media,
      warnings: [],
      framing: DEFAULT_FRAMING,
    },
  );
  if ('invalid' in shape) return `${path}: ${shape.invalid}`;
  const ofAll = await bettered(shape.promptTokens, { route, body, object }, layout.spec);
  return {
    promptTokens: ofLongest(ofAll, shape.prompts),
    prompts: shape.prompts,
    maxTokens: shape.requestedOutputTokens,
    sequences: sequencesOf(shape),
  };
}

/** At least an equal share, and a token less for each of the others. */
function ofLongest(bounds: TokenBounds, prompts: number): TokenBounds {
  const share = (tokens: number) => Math.ceil(tokens / prompts);
  const { lo, expected, hi } = bounds;
  return {
    ...bounds,
    lo: share(lo),
    expected: share(expected),
    hi: Math.max(share(lo), hi - (prompts - 1)),
  };
}

/**
 * Counted by kvgate's own tokenizer where it knows the model's. Engines print a
 * chat in more than one way: the bounds are those of all of them.
 */
async function bettered(
  bounds: TokenBounds,
  { route, body }: ScannedRequest,
  spec: ModelSpec,
): Promise<TokenBounds> {
  if (spec.tokenizer === null || bounds.source !== 'bytes') return bounds;
  // Loaded late: the vocabulary takes a third of a second and 100 MB.
  const { o200k } = await import('./tokens/o200k.ts');
  const job = {
    task: 'prompt',
    vocabulary: spec.tokenizer,
    kind: route.kind,
    body,
    framing: DEFAULT_FRAMING,
  } as const;
  const counted = countPrompt(job, o200k, performance.now() + COUNT_BUDGET_MS);
  return (
    boundsFromCounts(
      bounds,
      (counted?.counts ?? []).filter((count) => count !== null),
    ) ?? bounds
  );
}
