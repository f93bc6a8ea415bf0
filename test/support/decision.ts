/**
 * Small worlds for tests of the decision. An engine's unit is a token and a
 * token's KV is 4 bytes, so that every expected number can be worked out by hand.
 */

import type { PagedLayout, SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import { NO_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type {
  Capacity,
  DecideInput,
  InstanceView,
  PolicyConfig,
  PoolView,
  RequestShape,
} from '../../proxy/policy/types.ts';

/** One full-attention layer: 2 elements a token, 4 bytes in bf16. */
export const FOUR_BYTE_MODEL: ModelSpec = {
  id: 'four-byte',
  groups: [{ layers: 1, kvHeads: 1, keyDim: 1, valueDim: 1, windowTokens: null }],
  states: [],
  hiddenSize: 8,
  queryHeads: 1,
  headDim: 1,
  vocabSize: 16,
  contextTokens: 10_000,
  experts: null,
  intermediateSize: 8,
  media: NO_MEDIA,
  tokenizer: null,
  source: 'made up',
};

export const UNIFIED: SlotsLayout = {
  model: 'slots',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  unified: true,
  slots: 4,
  contextTokens: 10_000,
};

export const SPLIT: SlotsLayout = { ...UNIFIED, unified: false, contextTokens: 2_500 };

/** A block holds one token and prefill keeps one in flight: blocks are tokens. */
export const PAGED: PagedLayout = {
  model: 'paged',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  blockTokens: 1,
  contextTokens: 10_000,
  inFlightTokens: 1,
  tensorParallel: 1,
  drafting: null,
};

export function known(units: number, aloneUnits = units): Capacity {
  return { state: 'known', units, aloneUnits };
}

export function instanceView(change: Partial<InstanceView> = {}): InstanceView {
  return {
    name: 'a',
    layout: UNIFIED,
    capacity: known(10_000),
    committedUnits: 0,
    outlook: null,
    prefillTokens: 0,
    sequences: 0,
    maxSequences: 4,
    concurrencyCap: null,
    level: 'low',
    freeing: [],
    ...change,
  };
}

export function poolView(
  instances: readonly InstanceView[],
  change: Partial<PoolView> = {},
): PoolView {
  return { name: 'default', large: false, instances, waiting: [], ...change };
}

export function largePool(change: Partial<InstanceView> = {}): PoolView {
  return poolView([instanceView({ name: 'big', ...change })], { name: 'large', large: true });
}

export function requestShape(change: Partial<RequestShape> = {}): RequestShape {
  return {
    kind: 'chat',
    model: null,
    promptTokens: { lo: 1_000, expected: 1_000, hi: 1_000, source: 'engine' },
    prompts: 1,
    samplesPerPrompt: 1,
    requestedOutputTokens: 1_000,
    stream: true,
    temperature: null,
    topP: null,
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: false,
    ...change,
  };
}

export const POLICY: PolicyConfig = {
  largeRequestTokens: 8_000,
  largeRequestKvBytes: 1_000_000,
  sessionKvLimitBytes: 20_000,
  shortWaitMs: 2_000,
  queueTimeoutMs: 30_000,
  queueMax: 4,
  queueTargetMs: 8_000,
  shrinkFloor: 0.5,
  minOutputTokens: 256,
  degrade: 'seed',
  reserve: 'worst-case',
  overrunProbability: null,
  admissionOrder: ['route', 'short-queue', 'shrink', 'queue'],
};

export interface InputChange extends Partial<Omit<DecideInput, 'shape' | 'config'>> {
  readonly shape?: Partial<RequestShape>;
  readonly config?: Partial<PolicyConfig>;
}

/** What was learned of outputs, so that 99 of 100 are no longer than that. */
export function learned(q99Tokens: number): Pick<DecideInput, 'estimate'> {
  const outputTokens = { q50Tokens: 1, q95Tokens: q99Tokens, q99Tokens };
  return { estimate: { ...decideInput().estimate, outputTokens } };
}

/** A request of 1,000 prompt and 1,000 output tokens that meets one empty instance of 10,000. */
export function decideInput({ shape, config, ...change }: InputChange = {}): DecideInput {
  return {
    promptTokens: 1_000,
    outputLengths: null,
    session: null,
    neverDegrade: false,
    pools: [poolView([instanceView()])],
    queueLength: 0,
    isQueueStanding: false,
    waits: false,
    nowMs: 0,
    estimate: {
      promptTokens: { lo: 1_000, expected: 1_000, hi: 1_000, source: 'engine' },
      outputTokens: null,
    },
    ...change,
    shape: requestShape(shape),
    config: { ...POLICY, ...config },
  };
}
