/** What `/memory_stats` counts, beside the metrics. */
import { expect, test } from '@jest/globals';
import type { InstanceTags } from '../../proxy/state/metrics.ts';
import { Tally } from '../../proxy/state/tally.ts';
import { recordingMetrics } from '../support/state-world.ts';

const TAGS: InstanceTags = {
  instance: 'a',
  pool: 'default',
  modelId: 'm',
  modelSize: '',
  dtype: '',
  gpuMode: 'single',
};

test('counts decisions by action and reason, refusals, routes and degradations', () => {
  const tally = new Tally();
  const { metrics } = recordingMetrics();
  const watched = tally.watching(metrics);
  watched.decided({ action: 'accept', reason: 'fits' });
  watched.decided({ action: 'accept', reason: 'fits' });
  watched.decided({ action: 'route', reason: 'pool_full' });
  watched.decided({ action: 'queue', reason: 'short_wait' });
  watched.decided({ action: 'reject', reason: 'queue_deadline' });
  watched.decided({ action: 'reject', reason: 'never_fits' });
  watched.degraded('high', TAGS);
  expect(tally.decisions).toEqual({
    'accept:fits': 2,
    'route:pool_full': 1,
    'queue:short_wait': 1,
    'reject:queue_deadline': 1,
    'reject:never_fits': 1,
  });
  expect([tally.rejected, tally.routedLarge, tally.degraded]).toEqual([2, 1, 1]);
});

test('hands everything on, and adds nothing of its own', () => {
  const tally = new Tally();
  const { metrics, counted } = recordingMetrics();
  const watched = tally.watching(metrics);
  const decision = { action: 'accept', reason: 'fits', pool: 'default' } as const;
  watched.decided(decision);
  watched.degraded('high', TAGS);
  watched.sessionEvicted('lru');
  watched.leaseEndedTwice();
  expect(counted).toEqual([
    ['decided', decision],
    ['degraded', 'high'],
    ['sessionEvicted', 'lru'],
    ['leaseEndedTwice', undefined],
  ]);
  expect(tally.decisions).toEqual({ 'accept:fits': 1 });
});

test('nothing was counted at the start', () => {
  const tally = new Tally();
  expect([tally.rejected, tally.routedLarge, tally.degraded, tally.decisions]).toEqual([
    0,
    0,
    0,
    {},
  ]);
});
