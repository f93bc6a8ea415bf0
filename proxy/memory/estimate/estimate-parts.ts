/**
 * What the memory of one request is made of on one GPU, part by part, each with
 * its formula in numbers and the source that it was read in: for people who
 * want to check an estimate. The parts add up to what decisions are made by.
 */
import { assertNever } from '../assert-never.ts';
import {
  prefillCacheBytes,
  prefillTransients,
  stateStorage,
  unpacked,
} from '../engines/dynamic.ts';
import { slotAllocation } from '../engines/slots.ts';
import type { DynamicLayout } from '../kv-layout.ts';
import {
  count,
  type EstimatePart,
  type KnownLayout,
  keptParts,
  kindOf,
  SOURCES,
  stateParts,
} from './layer-parts.ts';
import { pagedParts, pagedPrefillParts } from './pool-parts.ts';

/**
 * Parts with prompt and output there, and those of the prefill peak.
 * @param tokens prompt and output together
 */
export function estimateParts(
  layout: KnownLayout,
  promptTokens: number,
  tokens: number,
): readonly EstimatePart[] {
  switch (layout.model) {
    case 'dynamic':
      return [
        ...keptParts({ ...layout, spec: unpacked(layout) }, 1, tokens, SOURCES.transformersCache),
        ...stateParts(layout.spec, stateStorage(layout), 1, SOURCES.transformersCache),
        ...prefillParts(layout, promptTokens),
      ];
    case 'paged':
      return [...pagedParts(layout, tokens), ...pagedPrefillParts(layout, promptTokens)];
    case 'slots':
      return slotParts(layout, tokens);
    default:
      return assertNever(layout);
  }
}

function prefillParts(layout: DynamicLayout, promptTokens: number): EstimatePart[] {
  const { feedForward, attention, promptLogits, logits } = prefillTransients(layout, promptTokens);
  const peak = Math.max(feedForward, attention, promptLogits);
  const prompt = `${count(promptTokens)} tokens`;
  const width = `${stateStorage(layout).convElementBytes} B`;
  const transient =
    peak === attention && attention > 0
      ? {
          part: 'Attention scores of one layer',
          formula: `3 x ${layout.spec.queryHeads} heads x ${prompt} x ${count(promptTokens + 1)} x ${width}, masks, repeated keys and values`,
        }
      : peak === promptLogits && promptLogits > 0
        ? {
            part: 'Logits of the whole prompt',
            formula: `${prompt} x ${count(layout.spec.vocabSize)} x ${width}`,
          }
        : {
            part: 'Activations of one layer',
            formula: `${prompt} x ${count(Math.round(feedForward / Math.max(1, promptTokens)))} B`,
          };
  return [
    {
      part: 'KV of the whole prompt',
      phase: 'prefill',
      bytes: prefillCacheBytes(layout, promptTokens),
      formula: `every layer keeps all of ${prompt}: windows are cut by the first decode step`,
      source: SOURCES.transformersCache,
    },
    {
      ...transient,
      phase: 'prefill',
      bytes: Math.ceil(peak),
      source: SOURCES.transformersModel,
    },
    {
      part: 'Logits of the last position',
      phase: 'prefill',
      bytes: Math.ceil(logits),
      formula: `${count(layout.spec.vocabSize)} x (${width} + 4 B for sampling)`,
      source: SOURCES.transformersLogits,
    },
  ];
}

function slotParts(
  layout: Extract<KnownLayout, { model: 'slots' }>,
  tokens: number,
): EstimatePart[] {
  const allocation = slotAllocation(layout, tokens);
  if (allocation === null) return [];
  const { caches, convStateBytes, recurrentStateBytes } = allocation;
  const states = convStateBytes + recurrentStateBytes;
  return [
    ...caches.map(
      ({ group, cells, keyBytes, valueBytes }): EstimatePart => ({
        part: `Cells of ${count(group.layers)} ${kindOf(group)} layers`,
        phase: 'decode',
        bytes: keyBytes + valueBytes,
        formula: `${count(group.layers)} layers x ${count(cells)} cells x ${count((keyBytes + valueBytes) / (group.layers * cells))} B`,
        source: SOURCES.llamacpp,
      }),
    ),
    ...(states === 0
      ? []
      : [
          {
            part: 'States of one sequence',
            phase: 'decode',
            bytes: states,
            formula: `${count(convStateBytes)} B of convolutions + ${count(recurrentStateBytes)} B`,
            source: SOURCES.llamacppStates,
          } as const,
        ]),
  ];
}
