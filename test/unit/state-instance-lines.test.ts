/** When the decision log is told what an instance is. */
import { expect, test } from '@jest/globals';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import { DecisionLog } from '../../proxy/state/decision-log.ts';
import { InstanceLines } from '../../proxy/state/instance-lines.ts';
import { isServing } from '../../proxy/state/pools.ts';
import { stateWorld } from '../support/state-world.ts';

function watched() {
  const world = stateWorld();
  const lines: string[] = [];
  const log = new DecisionLog(() => 5_000);
  log.settings({ 'queue-max': 3 });
  log.writeTo({ write: (line) => void lines.push(line) });
  let units = 1_000;
  let nowMs = 0;
  const told = new InstanceLines({
    capacities: {
      of: () => ({ state: 'known', units, aloneUnits: units }),
      endOf: () => ({ capacityUnits: units, endUnits: units }),
    },
    gpu: { currentGpus: () => null },
    decisionLog: log,
    clock: { nowMs: () => nowMs, after: () => () => {} },
  });
  const [first] = world.pools.instances.filter(isServing);
  if (first === undefined) throw new Error('no instance');
  /** @returns the capacities of the lines that are written */
  const observe = (at: number, capacity: number, layout: KvLayout = first.facts.layout) => {
    [nowMs, units] = [at, capacity];
    const before = lines.length;
    told.observe({ ...first, facts: { ...first.facts, layout } });
    return lines
      .slice(before)
      .map((line) => (JSON.parse(line) as { capacityUnits: number }).capacityUnits);
  };
  return { lines, log, observe, layout: first.facts.layout };
}

test('when it is known, when its memory is another, and every ten minutes', () => {
  const { observe } = watched();
  expect(observe(0, 1_000)).toEqual([1_000]);
  expect(observe(10_000, 1_019)).toEqual([]);
  expect(observe(11_000, 900)).toEqual([900]);
  expect(observe(11_900, 500)).toEqual([]);
  expect(observe(12_100, 500)).toEqual([500]);
  expect(observe(600_000, 500)).toEqual([]);
  expect(observe(612_100, 500)).toEqual([500]);
});

test('at once with another layout, which is left out where it is too long for a line', () => {
  const { lines, observe, layout } = watched();
  observe(0, 1_000);
  expect(observe(1, 1_000, { ...layout })).toEqual([1_000]);
  const spec = { id: 'x'.repeat(40_000), source: '/secret/file' };
  observe(2, 1_000, { ...layout, spec } as unknown as KvLayout);
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ type: 'instance', layout: null });
});

test('where the geometry was read from is not told', () => {
  const { lines, observe, layout } = watched();
  const spec = { id: 'm', source: '/secret/file' };
  observe(0, 1_000, { ...layout, spec } as unknown as KvLayout);
  expect(lines.at(-1)).toContain('"id":"m"');
  expect(lines.join()).not.toContain('secret');
});

test('a file that is begun is told all there is to know', () => {
  const { lines, log, observe } = watched();
  observe(0, 1_000);
  expect(log.headLines()).toEqual(lines);
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    'settings',
    'instance',
  ]);
});
