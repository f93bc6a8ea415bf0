/** Engines held against what they show, on a clock that a test moves. */
import { describe, expect, test } from '@jest/globals';
import type { Observation } from '../../proxy/memory/calibration/observation.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import { pagedBlocks } from '../../proxy/memory/engines/paged.ts';
import type { KvLayout, PagedLayout, SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { Lease } from '../../proxy/state/lease.ts';
import type { SettledRequest } from '../../proxy/state/settled.ts';
import { requestShape } from '../support/decision.ts';
import { CHAT } from '../support/scanned-request.ts';
import { facts, serving, stateWorld } from '../support/state-world.ts';

const ASSUMED: PagedLayout = {
  model: 'paged',
  spec: findModel('gpt-oss-20b'),
  kvBytesPerElement: 2,
  blockTokens: 16,
  contextTokens: 8192,
  inFlightTokens: 8192,
  tensorParallel: 1,
  drafting: null,
};
const HYBRID_OFF = { ...ASSUMED, hybridManager: false } as const;
const CELLS: SlotsLayout = {
  model: 'slots',
  spec: null,
  kvBytesPerElement: 2,
  unified: true,
  slots: 8,
  contextTokens: 100_000,
};
const PROMPT_TOKENS = 3_000;
const OUTPUT_TOKENS = 200;

type World = ReturnType<typeof stateWorld>;

function worldOf(layout: KvLayout): World {
  return stateWorld({ instances: [{ name: 'a', layout }] });
}

let requests = 0;

/** A streamed request that has generated so much. */
function begun(world: World, generatedTokens: number, streams = true): Lease {
  requests += 1;
  const { layout } = serving(world.pools, 'a').facts;
  const lease = world.ledger.take({
    requestId: `calibrated-${requests}`,
    instance: 'a',
    layout,
    charge: chargeOf(layout, PROMPT_TOKENS, OUTPUT_TOKENS, 1, 1),
    sessionKey: null,
    streams,
    takenAtMs: world.clock.nowMs(),
  });
  if (generatedTokens > 0) lease.generated(generatedTokens);
  return lease;
}

function end(world: World, lease: Lease, told: Partial<SettledRequest['told']> = {}): void {
  lease.end();
  const { requestId, charge, layout } = lease.terms;
  world.learn({
    requestId,
    instance: 'a',
    path: CHAT,
    shape: requestShape(),
    decision: {
      action: 'accept',
      reason: 'fits',
      pool: 'default',
      instance: 'a',
      grant: { outputTokens: null, sampling: {} },
      charge,
      level: 'low',
      promptTokens: PROMPT_TOKENS,
      estimate: { promptTokens: requestShape().promptTokens, outputTokens: null },
    },
    layout,
    told: { promptTokens: PROMPT_TOKENS, cachedTokens: 0, ...told },
    promptTokens: PROMPT_TOKENS,
    outputTokens: OUTPUT_TOKENS,
    ttftMs: 1,
    totalMs: 1_000,
    endedBy: 'itself',
  });
}

/** One request alone on the engine, seen to hold so many units, from its start to its end. */
function alone(world: World, usedUnits: number): void {
  const lease = begun(world, 100);
  world.read('a', { usedUnits, runningSequences: 1, capacityUnits: 10_000 });
  world.clock.advance(1_000);
  end(world, lease);
}

const truly = (layout: PagedLayout) => pagedBlocks(layout, PROMPT_TOKENS + 100);
const calibrated = (world: World) => world.calibration.of('a');
const warnings = (world: World) => serving(world.pools, 'a').facts.warnings;
const logged = (world: World, part: string) =>
  world.lines.filter(({ msg }) => msg.includes(part)).length;

describe('the layout in force', () => {
  test('stays as it is while nothing contradicts it, down to the object', () => {
    const world = worldOf(ASSUMED);
    const { facts: before } = serving(world.pools, 'a');
    for (let request = 0; request < 20; request += 1) alone(world, truly(ASSUMED));
    expect(serving(world.pools, 'a').facts).toBe(before);
    expect(calibrated(world)).toEqual({
      layout: 'as assumed',
      samples: 20,
      slope: 1,
      alarm: null,
    });
    expect(world.capacities.of(serving(world.pools, 'a'))).toMatchObject({ units: 10_000 });
  });

  test('changes when three requests have shown that it is another, and is told once', () => {
    const world = worldOf(ASSUMED);
    alone(world, truly(HYBRID_OFF));
    alone(world, truly(HYBRID_OFF));
    expect(calibrated(world)?.layout).toBe('as assumed');
    const lives = begun(world, 0);
    lives.end();
    alone(world, truly(HYBRID_OFF));
    expect(serving(world.pools, 'a').facts.layout).toEqual(HYBRID_OFF);
    expect(warnings(world)).toEqual([expect.stringContaining('hybrid KV cache manager off')]);
    expect(lives.terms.layout).toBe(ASSUMED);
    for (let request = 0; request < 10; request += 1) alone(world, truly(HYBRID_OFF));
    expect(logged(world, 'Memory layout identified')).toBe(1);
    expect(calibrated(world)).toMatchObject({ slope: 1, alarm: null });
  });

  test('begins anew with a new process', () => {
    const world = worldOf(ASSUMED);
    for (let request = 0; request < 3; request += 1) alone(world, truly(HYBRID_OFF));
    world.pools.update('a', { facts: facts(ASSUMED) });
    expect(calibrated(world)).toMatchObject({ layout: 'as assumed', samples: 0 });
    expect(serving(world.pools, 'a').facts.layout).toEqual(ASSUMED);
  });

  test('follows a figure of the engine at once, before any request', () => {
    const world = worldOf(ASSUMED);
    const blocks = 512 + 137;
    const told: Observation = {
      kind: 'full_length_blocks',
      measured: { lo: blocks - 0.01, hi: blocks + 0.01 },
      contextTokens: 8192,
    };
    world.pools.update('a', { facts: { ...facts(ASSUMED), toldFigures: [told] } });
    expect(serving(world.pools, 'a').facts.layout).toEqual({ ...ASSUMED, inFlightTokens: 2048 });
    expect(world.views.instance(serving(world.pools, 'a')).layout).toMatchObject({
      inFlightTokens: 2048,
    });
  });
});

test('a figure of the engine that nothing explains alarms until it tells another', () => {
  const world = worldOf(ASSUMED);
  const told: Observation = {
    kind: 'full_length_blocks',
    measured: { lo: 7, hi: 7 },
    contextTokens: 8192,
  };
  world.pools.update('a', { facts: { ...facts(ASSUMED), toldFigures: [told] } });
  for (let request = 0; request < 20; request += 1) alone(world, truly(ASSUMED));
  expect(calibrated(world)).toMatchObject({ layout: 'as assumed', slope: 1 });
  expect(calibrated(world)?.alarm).toMatch(/^the engine's own figures fit no known way/);
  expect(warnings(world)).toEqual([calibrated(world)?.alarm]);
  expect(logged(world, 'Calibration alarm')).toBe(1);
  world.pools.update('a', { facts: facts(ASSUMED) });
  expect(calibrated(world)?.alarm).toBeNull();
});

describe('what is no sample', () => {
  test.each<[string, (world: World, usedUnits: number) => void]>([
    [
      'another sequence runs',
      (world, usedUnits) => {
        const lease = begun(world, 100);
        world.read('a', { usedUnits, runningSequences: 2 });
        end(world, lease);
      },
    ],
    [
      'somebody waits',
      (world, usedUnits) => {
        const lease = begun(world, 100);
        world.read('a', { usedUnits, runningSequences: 1, waitingSequences: 1 });
        end(world, lease);
      },
    ],
    [
      'the output has hardly begun',
      (world, usedUnits) => {
        const lease = begun(world, 2);
        world.read('a', { usedUnits, runningSequences: 1 });
        end(world, lease);
      },
    ],
    [
      'it does not stream',
      (world, usedUnits) => {
        const lease = begun(world, 100, false);
        world.read('a', { usedUnits, runningSequences: 1 });
        end(world, lease);
      },
    ],
    [
      'the engine does not tell its prompt',
      (world, usedUnits) => {
        const lease = begun(world, 100);
        world.read('a', { usedUnits, runningSequences: 1 });
        end(world, lease, { promptTokens: null });
      },
    ],
    [
      'its client leaves',
      (world, usedUnits) => {
        const lease = begun(world, 100);
        world.read('a', { usedUnits, runningSequences: 1 });
        lease.drain(world.clock.nowMs());
        lease.end();
      },
    ],
    [
      'it was preempted',
      (world, usedUnits) => {
        const lease = begun(world, 100);
        world.read('a', { usedUnits, runningSequences: 1, preemptions: requests });
        world.read('a', { usedUnits, runningSequences: 1, preemptions: requests + 1 });
        end(world, lease);
      },
    ],
  ])('%s', (_, play) => {
    const world = worldOf(ASSUMED);
    world.read('a', { preemptions: 0 });
    for (let request = 0; request < 5; request += 1) play(world, truly(HYBRID_OFF));
    expect(calibrated(world)).toMatchObject({ layout: 'as assumed', samples: 0 });
  });

  test('a sample of several pools that are told as one is none', () => {
    const world = worldOf(ASSUMED);
    for (let request = 0; request < 5; request += 1) {
      const leases = [begun(world, 100), begun(world, 100)];
      // Each has one of them: as full as the fullest is half of what both hold.
      const usedUnits = truly(ASSUMED);
      world.read('a', { usedUnits, runningSequences: 2, isMixture: true });
      for (const lease of leases) end(world, lease);
    }
    expect(calibrated(world)).toMatchObject({ layout: 'as assumed', samples: 0, alarm: null });
  });

  test('a request counts once, however often it is seen', () => {
    const world = worldOf(ASSUMED);
    const lease = begun(world, 100);
    for (let poll = 0; poll < 5; poll += 1) {
      world.read('a', { usedUnits: truly(HYBRID_OFF), runningSequences: 1 });
    }
    end(world, lease);
    expect(calibrated(world)?.samples).toBe(1);
  });

  test('samples wait for all their requests, and none of these is in another', () => {
    const world = worldOf(ASSUMED);
    const first = begun(world, 100);
    const second = begun(world, 100);
    const blocks = truly(ASSUMED);
    world.read('a', { usedUnits: 2 * blocks, runningSequences: 2 });
    end(world, first);
    expect(calibrated(world)?.samples).toBe(0);
    world.read('a', { usedUnits: blocks, runningSequences: 1 });
    end(world, second);
    expect(calibrated(world)?.samples).toBe(1);
  });
});

describe('what is left', () => {
  /** Requests hold so many times the cells that they are modelled to. */
  const play = (world: World, times: number, count: number) => {
    for (let request = 0; request < count; request += 1) {
      alone(world, Math.round(times * (PROMPT_TOKENS + 100 + 32)));
    }
  };
  const units = (world: World) => world.capacities.of(serving(world.pools, 'a'));

  test('is corrected for by a smaller capacity', () => {
    const world = worldOf(CELLS);
    play(world, 1.05, 20);
    expect(calibrated(world)?.slope).toBeCloseTo(1.05, 2);
    expect(calibrated(world)?.alarm).toBeNull();
    const slope = calibrated(world)?.slope ?? Number.NaN;
    const room = Math.floor(10_000 / slope);
    expect(units(world)).toEqual({ state: 'known', units: room, aloneUnits: room });
  });

  test('is never made room of', () => {
    const world = worldOf(CELLS);
    play(world, 0.94, 20);
    expect(calibrated(world)?.slope).toBeLessThan(1);
    expect(units(world)).toMatchObject({ units: 10_000 });
  });

  test('raises an alarm once where it is too much, with no more than the clamp, until it is calm', () => {
    const world = worldOf(CELLS);
    play(world, 1.3, 40);
    expect(calibrated(world)).toMatchObject({ slope: 1.1 });
    expect(calibrated(world)?.alarm).toMatch(
      /^requests hold 1\.\d\d times the memory .*--kv-dtype/,
    );
    expect(warnings(world)).toEqual([calibrated(world)?.alarm]);
    expect(logged(world, 'Calibration alarm')).toBe(1);
    expect(units(world)).toMatchObject({ units: Math.floor(10_000 / 1.1) });

    play(world, 1, 64);
    expect(calibrated(world)).toMatchObject({ slope: 1, alarm: null });
    expect(warnings(world)).toEqual([]);
    expect(logged(world, 'Calibration alarm is over')).toBe(1);
    expect(logged(world, 'Calibration alarm')).toBe(2);
  });

  test('stays bounded', () => {
    const world = worldOf(CELLS);
    play(world, 1, 200);
    expect(calibrated(world)?.samples).toBe(64);
  });
});

test('a prefix in common of which an engine tells no more than 0 raises no alarm', () => {
  const world = worldOf(ASSUMED);
  for (let request = 0; request < 20; request += 1) {
    const leases = [begun(world, 100), begun(world, 100)];
    world.read('a', { usedUnits: truly(ASSUMED) + 50, runningSequences: 2, capacityUnits: 10_000 });
    world.clock.advance(1_000);
    for (const lease of leases) end(world, lease, { cachedTokens: 0 });
  }
  expect(calibrated(world)).toMatchObject({ layout: 'as assumed', samples: 20, alarm: null });
});

test('a healthy TGI, which tells the places set aside for output as used, raises no alarm', () => {
  const tokenPool = { blocks: null, slidingShare: null, slidingSlackTokens: 0 };
  const world = worldOf({
    ...ASSUMED,
    blockTokens: 1,
    tokenPool: { ...tokenPool, outputChunkTokens: 1024 },
  });
  for (let request = 0; request < 20; request += 1) alone(world, PROMPT_TOKENS + 1024);
  expect(calibrated(world)).toMatchObject({ slope: 1, alarm: null });
});

test('an instance whose memory is allocated for each request is not calibrated', () => {
  const spec = findModel('gpt-oss-20b');
  if (spec === null) throw new Error('not in the catalog');
  const world = worldOf({ model: 'dynamic', spec, kvBytesPerElement: 2, attention: 'flash' });
  for (let request = 0; request < 5; request += 1) alone(world, 1);
  expect(calibrated(world)).toMatchObject({ layout: 'as assumed', slope: 1, alarm: null });
  expect(calibrated(world)?.samples).toBe(0);
});
