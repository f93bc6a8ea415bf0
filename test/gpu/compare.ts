/** Measured memory against the estimate, before and after a calibration. */
import { median } from '../../proxy/memory/calibration/residual.ts';
import { decodeBytes, prefillPeakBytes } from '../../proxy/memory/engines/dynamic.ts';
import { type DynamicLayout, steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import type { Failed, Measured, Subject } from './subject.ts';

const BYTES_OF_BF16 = 2;

export interface ComparedRow {
  readonly promptTokens: number;
  readonly measuredBytes: number;
  readonly estimatedBytes: number;
  /** Estimate minus measured, over measured. */
  readonly error: number;
  /** The same with the slope that the other sizes gave. */
  readonly calibratedError: number;
}

export interface Comparison {
  readonly attention: Subject['attention'];
  readonly about: Subject['about'];
  readonly prefill: readonly ComparedRow[];
  readonly held: readonly ComparedRow[];
  readonly decode: readonly ComparedRow[];
  readonly failed: readonly Failed[];
}

/** Measures every size in turn. */
export async function compare(
  subject: Subject,
  spec: DynamicLayout['spec'],
  sizes: readonly number[],
  outputTokens: number,
): Promise<Comparison> {
  const { attention, about } = subject;
  const layout: DynamicLayout = {
    model: 'dynamic',
    spec,
    kvBytesPerElement: BYTES_OF_BF16,
    attention,
  };
  const measured: Measured[] = [];
  const failed: Failed[] = [];
  for (const promptTokens of sizes) {
    const result = await subject.measure(promptTokens, outputTokens);
    if ('error' in result) failed.push(result);
    else measured.push(result);
  }
  // The newest token has no KV yet.
  const endTokens = (row: Measured) => row.promptTokens + row.outputTokens - 1;
  return {
    attention,
    about,
    failed,
    prefill: rowsOf(
      measured,
      (row) => row.prefillPeakBytes,
      (row) => prefillPeakBytes(layout, row.promptTokens),
    ),
    held: rowsOf(
      measured,
      (row) => row.heldBytes,
      (row) => steadyKvBytes(spec, endTokens(row), BYTES_OF_BF16),
    ),
    decode: rowsOf(
      measured,
      (row) => row.decodePeakBytes,
      (row) => decodeBytes(layout, endTokens(row)),
    ),
  };
}

function rowsOf(
  measured: readonly Measured[],
  seen: (row: Measured) => number | null,
  estimated: (row: Measured) => number,
): readonly ComparedRow[] {
  const pairs = measured.flatMap((row) => {
    const measuredBytes = seen(row);
    const { promptTokens } = row;
    return measuredBytes === null || measuredBytes <= 0
      ? []
      : [{ promptTokens, measuredBytes, estimatedBytes: estimated(row) }];
  });
  return pairs.map((pair) => {
    // Never calibrated on itself: that would be no test.
    const others = pairs.filter((other) => other !== pair);
    const slope = median(others.map((other) => other.measuredBytes / other.estimatedBytes)) ?? 1;
    const { measuredBytes, estimatedBytes } = pair;
    return {
      ...pair,
      error: (estimatedBytes - measuredBytes) / measuredBytes,
      calibratedError: (estimatedBytes * slope - measuredBytes) / measuredBytes,
    };
  });
}
