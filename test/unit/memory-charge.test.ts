import { describe, expect, test } from '@jest/globals';
import { chargeOf, contextTokensOf, heldUnits, unitBytes } from '../../proxy/memory/charge.ts';
import {
  decodeBytes,
  firstStepBytes,
  prefillPeakBytes,
} from '../../proxy/memory/engines/dynamic.ts';
import type { DynamicLayout, PagedLayout, SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import { knownModel } from '../support/known-model.ts';

const MIB = 2 ** 20;
const spec = knownModel('gpt-oss-20b');

const dynamic: DynamicLayout = { model: 'dynamic', spec, kvBytesPerElement: 2, attention: 'flash' };
const paged: PagedLayout = {
  model: 'paged',
  spec,
  kvBytesPerElement: 2,
  blockTokens: 16,
  contextTokens: 131_072,
  inFlightTokens: 2048,
  tensorParallel: 1,
  drafting: null,
};
const slots: SlotsLayout = {
  model: 'slots',
  spec,
  kvBytesPerElement: 2,
  unified: false,
  slots: 4,
  contextTokens: 8192,
};

describe('dynamic', () => {
  test('a long prompt peaks in prefill, and the lease shrinks after its first step', () => {
    const charge = chargeOf(dynamic, 8192, 1024, 1, 1);
    expect(charge.prefillUnits).toBe(prefillPeakBytes(dynamic, 8192));
    expect(charge.finalUnits).toBe(decodeBytes(dynamic, 9216));
    expect(charge.peakUnits).toBe(charge.prefillUnits);
    expect(charge.kvBytes).toBe(12 * 2048 * 9216 + 12 * 2048 * 128);
    expect(charge.naiveBytes).toBe(49_152 * 9216);

    expect(heldUnits(dynamic, charge, 'prefill', 0)).toBe(charge.prefillUnits);
    expect(heldUnits(dynamic, charge, 'decode', 1)).toBe(firstStepBytes(dynamic, 8192));
    expect(heldUnits(dynamic, charge, 'decode', 2)).toBe(decodeBytes(dynamic, 8194));
    expect(heldUnits(dynamic, charge, 'decode', 1024)).toBe(charge.finalUnits);
  });

  test('a short prompt with a long answer peaks at the end', () => {
    const charge = chargeOf(dynamic, 10, 32_000, 1, 1);
    expect(charge.peakUnits).toBe(charge.finalUnits);
    expect(charge.finalUnits).toBeGreaterThan(charge.prefillUnits);
  });

  test('each sample carries the KV of its prompt', () => {
    const one = chargeOf(dynamic, 1000, 100, 1, 1);
    const four = chargeOf(dynamic, 1000, 100, 1, 4);
    expect(four.sequences).toBe(4);
    expect(four.promptTokens).toBe(1000);
    expect(four.peakUnits).toBe(4 * one.peakUnits);
    expect(four.kvBytes).toBe(4 * (one.kvBytes ?? Number.NaN));
  });
});

describe('paged', () => {
  test('counts blocks of every group', () => {
    const charge = chargeOf(paged, 8192, 1024, 1, 1);
    expect(charge.prefillUnits).toBe(512 + 137);
    expect(charge.finalUnits).toBe(576 + 9);
    // The prompt ends with a block, and the first decode step begins one before any goes back.
    expect(charge.peakUnits).toBe(513 + 137);
    expect(charge.kvBytes).toBe((576 + 9) * 393_216);
    expect(heldUnits(paged, charge, 'decode', 1)).toBe(513 + 9);
  });

  test('on 4 GPUs the blocks are as many and a quarter as large', () => {
    const four = { ...paged, tensorParallel: 4 };
    const charge = chargeOf(four, 8192, 1024, 1, 1);
    expect(charge.peakUnits).toBe(513 + 137);
    expect(charge.kvBytes).toBe(((576 + 9) * 393_216) / 4);
    expect(charge.naiveBytes).toBe(49_152 * 9216);
  });

  test('a short prompt peaks in the step after its prefill', () => {
    expect(chargeOf(paged, 256, 100, 1, 1)).toMatchObject({ prefillUnits: 32, peakUnits: 34 });
    expect(chargeOf(paged, 256, 1, 1, 1)).toMatchObject({ prefillUnits: 32, peakUnits: 32 });
    expect(chargeOf(paged, 250, 100, 1, 1)).toMatchObject({ prefillUnits: 32, peakUnits: 32 });
  });

  test('two prompts are charged for the worst split between them', () => {
    const unknown: PagedLayout = { ...paged, spec: null };
    const charge = chargeOf(unknown, 32, 0, 2, 3);
    expect(charge).toMatchObject({ prompts: 2, sequences: 6, peakUnits: 3 * 3 });
    expect(charge.kvBytes).toBeNull();
    expect(charge.naiveBytes).toBeNull();
  });

  test('of several sequences one may be in prefill when another ends', () => {
    const samples = chargeOf(paged, 8192, 1024, 1, 2);
    expect(samples.finalUnits).toBe(2 * (513 + 137));
    // Two prompts of 4096 + 1024 tokens, or any other split: full blocks to the end (one
    // more for the split) and the sliding blocks of two prefills.
    const prompts = chargeOf(paged, 8192, 1024, 2, 1);
    expect(prompts.peakUnits).toBe(640 + 1 + 2 * 137);
    expect(prompts.finalUnits).toBe(prompts.peakUnits);
  });
});

describe('slots', () => {
  test('a cell for each token', () => {
    const charge = chargeOf(slots, 1000, 500, 1, 1);
    expect(charge).toMatchObject({ prefillUnits: 1000, finalUnits: 1500, peakUnits: 1500 });
    expect(heldUnits(slots, charge, 'decode', 7)).toBe(1007);
  });

  test('a sequence ends where its context does', () => {
    expect(chargeOf(slots, 8000, 1_000_000, 1, 1).peakUnits).toBe(8192);
    expect(chargeOf(slots, 8000, Number.MAX_SAFE_INTEGER, 1, 4).peakUnits).toBe(4 * 8192);
    const charge = chargeOf(slots, 8000, 100, 1, 1);
    expect(heldUnits(slots, charge, 'decode', 5000)).toBe(8192);
  });
});

test("the longest sequence is the model's on dynamic, else the instance's", () => {
  expect([dynamic, paged, slots].map(contextTokensOf)).toEqual([131_072, 131_072, 8192]);
});

test('bytes of a unit', () => {
  expect(unitBytes(dynamic)).toBe(1);
  expect(unitBytes(paged)).toBe(393_216);
  expect(unitBytes({ ...paged, spec: null })).toBeNull();
  // 8192 tokens of full layers and a window in each sliding one.
  expect(unitBytes(slots)).toBe(Math.ceil((195 * MIB) / 8192));
  expect(unitBytes({ ...slots, spec: null })).toBeNull();
});

test('units of lengths that are remembered take little memory, however long a context is', () => {
  const contextTokens = 2 ** 27;
  const layout: SlotsLayout = { ...slots, unified: true, contextTokens };
  const before = process.memoryUsage().arrayBuffers;
  for (let promptTokens = 2_048; promptTokens < 2 ** 23; promptTokens += 4_096) {
    const charge = chargeOf(layout, promptTokens, 100, 1, 1);
    expect(heldUnits(layout, charge, 'decode', 100)).toBe(charge.finalUnits);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB);
});
