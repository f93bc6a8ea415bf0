/** How layers are put into groups, against recordings of vLLM's own grouping. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { blockPlan, raisedBlockTokens } from '../../proxy/memory/engines/block-groups.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import type { LayerGroup, ModelSpec, StateGroup } from '../../proxy/memory/models/model-spec.ts';

interface RecordedLayers {
  readonly layers: number;
  readonly kind: 'full' | 'mla' | 'packed' | 'window' | 'chunk' | 'state';
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** A window or chunk in tokens, packed bytes, or channels, kernel and elements of a state. */
  readonly of?: number | readonly number[];
}

interface Recorded {
  readonly name: string;
  readonly blockTokens: number;
  readonly hybridManager: boolean;
  readonly layers: readonly RecordedLayers[];
  readonly groups: readonly { readonly kind: string; readonly blockTokens: number }[];
  readonly blockBytes: number;
}

const FILE = new URL('../fixtures/engines/vllm/layer-groups.json', import.meta.url);
const { cases }: { readonly cases: readonly Recorded[] } = JSON.parse(readFileSync(FILE, 'utf8'));

function groupOf({ kind, of, layers, kvHeads, keyDim, valueDim }: RecordedLayers): LayerGroup[] {
  const size = typeof of === 'number' ? of : 0;
  const shape = { layers, kvHeads, keyDim, valueDim, windowTokens: null };
  switch (kind) {
    case 'state':
      return [];
    case 'window':
      return [{ ...shape, windowTokens: size }];
    case 'chunk':
      return [{ ...shape, windowTokens: size, chunked: true }];
    case 'packed':
      return [{ ...shape, packedTokenBytes: size }];
    default:
      return [shape];
  }
}

function stateOf({ kind, of, layers }: RecordedLayers): StateGroup[] {
  if (kind !== 'state' || typeof of !== 'object') return [];
  const [convChannels = 0, convKernel = 0, recurrentElements = 0] = of;
  return [{ layers, convChannels, convKernel, recurrentElements }];
}

function layoutOf({ layers, blockTokens, hybridManager }: Recorded): PagedLayout {
  const base = findModel('gpt-oss-20b');
  if (base === null) throw new Error('the catalog is empty');
  const spec: ModelSpec = {
    ...base,
    groups: layers.flatMap(groupOf),
    states: layers.flatMap(stateOf),
  };
  return {
    model: 'paged',
    spec,
    kvBytesPerElement: 2,
    blockTokens,
    contextTokens: 131_072,
    inFlightTokens: 2048,
    tensorParallel: 1,
    drafting: null,
    ...(hybridManager ? {} : { hybridManager: false }),
  };
}

const VLLM_KINDS = { all: 'full', window: 'window', chunk: 'chunk', state: 'state' } as const;

function described(kind: string, blockTokens: number): string {
  // Tokens of a state's block tell nothing: it has one state, however many tokens that is.
  return kind === 'state' ? kind : `${kind} of ${blockTokens}`;
}

describe('vLLM 0.32 as it grouped', () => {
  test.each(cases.map((recorded): [string, Recorded] => [recorded.name, recorded]))(
    '%s',
    (_, recorded) => {
      const plan = blockPlan(layoutOf(recorded));
      const planned = plan?.groups.flatMap(({ groups, blockTokens, kept }) =>
        Array.from({ length: groups }, () => described(VLLM_KINDS[kept.kind], blockTokens)),
      );
      const formed = recorded.groups.map(({ kind, blockTokens }) => described(kind, blockTokens));
      expect(planned?.sort()).toEqual(formed.sort());
      expect(plan?.blockBytes).toBe(recorded.blockBytes);
    },
  );
});

test('without a spec there is no plan, and a model without layers takes no block', () => {
  const [first] = cases;
  if (first === undefined) throw new Error('nothing is recorded');
  const layout = layoutOf(first);
  expect(blockPlan({ ...layout, spec: null })).toBeNull();
  expect(blockPlan(layoutOf({ ...first, layers: [] }))).toEqual({ groups: [], blockBytes: 0 });
});

describe('blocks are made long enough for a state', () => {
  const layout = (name: string, tensorParallel: number): PagedLayout => ({
    model: 'paged',
    spec: findModel(name),
    kvBytesPerElement: 2,
    blockTokens: 16,
    contextTokens: 131_072,
    inFlightTokens: 8192,
    tensorParallel,
    drafting: null,
  });

  // vLLM: 16 x ceil((3 x 8192 x 2 + 32 x 128 x 128 x 4) / (16 x 2048)), halved on both sides by two GPUs.
  test.each([
    ['qwen3-next-80b-a3b', 1, 1056],
    ['qwen3-next-80b-a3b', 2, 1056],
    ['qwen3-next-80b-a3b', 4, 528],
    ['gpt-oss-20b', 1, 16],
    ['deepseek-v3', 8, 16],
  ])('%s on %i GPUs: %i tokens', (name, tensorParallel, tokens) => {
    expect(raisedBlockTokens(layout(name, tensorParallel))).toBe(tokens);
  });

  test('an unknown model has those asked for', () => {
    expect(raisedBlockTokens({ ...layout('gpt-oss-20b', 1), spec: null })).toBe(16);
  });
});
