/**
 * What a real llama-server allocates for KV and for states, in every shape that
 * changes it, and what it writes when it saves a slot: the same as kvgate's own
 * figures, to the byte.
 */
import { rmSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import {
  type LlamacppAllocation,
  type LlamacppCache,
  llamacppAllocation,
  llamacppLiveBytes,
} from '../../proxy/memory/engines/llamacpp-memory.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { describeReal } from '../support/describe-real.ts';
import { post } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { type PrintedMemory, printedBytes, printedMemory } from '../support/llamacpp-log.ts';
import {
  LLAMACPP_SHAPES,
  type LlamacppShape,
  specOfTiny,
  tinyModelFile,
} from '../support/llamacpp-shapes.ts';
import { slotFileOverheadBytes } from '../support/llamacpp-slot-file.ts';
import { tinyDraftSpec } from '../support/tiny-architectures.ts';

const MIB = 1024 ** 2;
const FOLDER = '/tmp/';
const FILE = 'kvgate-slot.bin';
const SAVED_TOKENS = [10, 128, 200, 1000];

const savedNames = [
  'split',
  'unified by default',
  'q4_0',
  'wide keys, narrow values',
  'narrow keys, wide values',
  'all layers full, mixed types',
  'states beside a pool',
];
const SAVED_SHAPES = LLAMACPP_SHAPES.filter(({ name }) => savedNames.includes(name));

function start({ model, args }: LlamacppShape, ...more: string[]): Promise<RunningLlamaServer> {
  return startLlamaServer(['-m', tinyModelFile(model), ...args, ...more], { model: 'none' });
}

/** As printed: rounded to two decimals, and exact where two decimals can say it. */
function expectPrinted(mib: number, bytes: number): void {
  expect(Math.abs(mib - bytes / MIB)).toBeLessThanOrEqual(0.005 + 1e-9);
  if (Number.isInteger((100 * bytes) / MIB)) expect(mib).toBe(bytes / MIB);
}

function fullFirst({ caches }: LlamacppAllocation): LlamacppCache[] {
  const slides = ({ group }: LlamacppCache) => Number(group.windowTokens !== null);
  return [...caches].sort((a, b) => slides(a) - slides(b));
}

function expectCaches(
  printed: PrintedMemory,
  predicted: readonly LlamacppCache[],
  streams: number,
): void {
  const told = printed.caches.map((cache, index) => {
    const { kvHeads = 0, keyDim = 0, valueDim = 0 } = predicted[index]?.group ?? {};
    const keyBytes = printedBytes(cache, cache.keys, kvHeads * keyDim);
    const valueBytes = printedBytes(cache, cache.values, kvHeads * valueDim);
    expectPrinted(cache.keys.mib, keyBytes);
    expectPrinted(cache.values.mib, valueBytes);
    const { cells, layers } = cache;
    return { cells, layers, streams: cache.streams, keyBytes, valueBytes };
  });
  expect(told).toEqual(
    predicted.map(({ group: { layers }, ...cache }) => ({ ...cache, layers, streams })),
  );
}

describeReal('a real llama-server', () => {
  let server: RunningLlamaServer;
  afterEach(async () => {
    await server?.stop();
  });

  const exact = { shapes: 0, files: 0 };
  afterAll(() => {
    const files = SAVED_SHAPES.length * SAVED_TOKENS.length;
    expectAccuracy({
      part: 'llama.cpp KV buffers at load, saved slots',
      bar: '0 bytes',
      seen: `0 bytes off in ${exact.shapes} of ${LLAMACPP_SHAPES.length} shapes and ${exact.files} of ${files} files`,
      against: "a real llama-server's own log and the files that it writes",
      holds: exact.shapes === LLAMACPP_SHAPES.length && exact.files === files,
    });
  });

  describe('allocates to the byte what is predicted', () => {
    test.each(LLAMACPP_SHAPES)('$name', async (shape) => {
      server = await start(shape, '-lv', '4');
      const printed = printedMemory(server.log());
      const predicted = llamacppAllocation(specOfTiny(shape.model), shape.start);
      const { contextTokens, fullCells, streams } = predicted;
      expect(printed).toMatchObject({ contextTokens, fullCells });
      const drafts = shape.drafts ? [llamacppAllocation(tinyDraftSpec(), shape.start)] : [];
      expectCaches(printed, [predicted, ...drafts].flatMap(fullFirst), streams);
      expect(printed.states === null).toBe(predicted.recurrentStateBytes === 0);
      if (printed.states === null) {
        exact.shapes += 1;
        return;
      }
      const { sequences, rollbackStates = 0 } = shape.start;
      expect(printed.states.rows).toBe(sequences * (1 + rollbackStates));
      expectPrinted(printed.states.convMib, predicted.convStateBytes);
      expectPrinted(printed.states.recurrentMib, predicted.recurrentStateBytes);
      exact.shapes += 1;
    });
  });

  describe('saves a slot in as many bytes as are predicted', () => {
    // A server that is run in a root of its own writes it there, each time to the same place.
    afterAll(() => rmSync(`${FOLDER}${FILE}`, { force: true }));
    test.each(SAVED_SHAPES)('$name', async (shape) => {
      server = await start(shape, '--slot-save-path', FOLDER, '--ctx-checkpoints', '0');
      const spec = specOfTiny(shape.model);
      const { streams } = llamacppAllocation(spec, shape.start);
      const traits = { streams, positionsHaveSections: shape.model === 'qwen35' };
      for (const tokens of SAVED_TOKENS) {
        await post(server, '/completion', {
          prompt: 'a'.repeat(tokens),
          ...{ n_predict: 1, id_slot: 0, cache_prompt: false },
        });
        const saved = await post(server, '/slots/0?action=save', { filename: FILE });
        const bytes = llamacppLiveBytes(spec, shape.start, tokens);
        const overhead = slotFileOverheadBytes(spec, tokens, traits);
        expect(saved.body).toMatchObject({ n_saved: tokens, n_written: bytes + overhead });
        exact.files += 1;
      }
    });
  });
});
