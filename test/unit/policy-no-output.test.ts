/** Requests without output (embeddings, pairs): decided by their prompts alone, and never given a limit. */
import { describe, expect, test } from '@jest/globals';
import { decide } from '../../proxy/policy/decide.ts';
import type { InstanceView, Level, RequestShape } from '../../proxy/policy/types.ts';
import {
  decideInput,
  instanceView,
  known,
  largePool,
  PAGED,
  poolView,
  SPLIT,
  UNIFIED,
} from '../support/decision.ts';

const SHAPE: Partial<RequestShape> = {
  kind: 'embedding',
  prompts: 2,
  requestedOutputTokens: 0,
  stream: false,
};
const LEVELS: readonly Level[] = ['low', 'medium', 'high', 'critical', 'emergency'];

function decided(instance: Partial<InstanceView>, shape: Partial<RequestShape> = {}) {
  const pools = [poolView([instanceView(instance)])];
  return decide(decideInput({ pools, shape: { ...SHAPE, ...shape } }));
}

describe.each([
  ['a unified pool', UNIFIED],
  ['split slots', SPLIT],
  ['paged blocks', PAGED],
])('on %s', (_, layout) => {
  test.each(LEVELS)('at level %s it is accepted with nothing written', (level) => {
    expect(decided({ layout, level })).toMatchObject({
      action: 'accept',
      grant: { outputTokens: null },
      charge: { promptTokens: 1_000, outputTokens: 0, sequences: 2 },
    });
  });

  test('no minimum of output is asked of the room that is left', () => {
    const { charge } = decided({ layout });
    const units = charge?.peakUnits ?? 0;
    expect(units).toBeLessThanOrEqual(1_002);
    expect(decided({ layout, capacity: known(units) })).toMatchObject({ action: 'accept' });
    expect(decided({ layout, capacity: known(units - 1) })).toMatchObject({
      action: 'reject',
      reason: 'never_fits',
    });
  });

  test('a prompt as long as the context fits, one token more does not', () => {
    const { contextTokens } = layout;
    const at = (promptTokens: number) =>
      decide(
        decideInput({
          promptTokens,
          pools: [poolView([instanceView({ layout, capacity: known(20_000) })])],
          shape: { ...SHAPE, prompts: 1 },
          config: { sessionKvLimitBytes: 1_000_000 },
        }),
      );
    expect(at(contextTokens)).toMatchObject({ action: 'accept', grant: { outputTokens: null } });
    expect(at(contextTokens + 1)).toMatchObject({ action: 'reject', reason: 'never_fits' });
  });

  test('where there is no room now it is routed or waits, and is never shrunk', () => {
    const full = instanceView({
      layout,
      committedUnits: 9_999,
      sequences: 1,
      freeing: [{ atMs: 1_000, units: 9_999, sequences: 1 }],
    });
    const config = { admissionOrder: ['shrink', 'route', 'short-queue', 'queue'] } as const;
    const pools = [poolView([full]), largePool({ layout })];
    expect(decide(decideInput({ pools, shape: SHAPE, config }))).toMatchObject({
      action: 'route',
      instance: 'big',
      grant: { outputTokens: null },
    });
    expect(decide(decideInput({ pools: [poolView([full])], shape: SHAPE, config }))).toMatchObject({
      action: 'queue',
      charge: { outputTokens: 0 },
    });
  });
});
