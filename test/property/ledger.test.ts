/** The ledger against a naive model of it: a plain list of leases, summed anew each time. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Charge, chargeOf, heldUnits } from '../../proxy/memory/charge.ts';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import { fitsNow } from '../../proxy/policy/reserve.ts';
import type { Lease } from '../../proxy/state/lease.ts';
import { Ledger } from '../../proxy/state/ledger.ts';
import { FOUR_BYTE_MODEL, instanceView, known, PAGED, UNIFIED } from '../support/decision.ts';

const LAYOUTS: Readonly<Record<string, KvLayout>> = {
  dynamic: { model: 'dynamic', spec: FOUR_BYTE_MODEL, kvBytesPerElement: 2, attention: 'eager' },
  paged: { ...PAGED, blockTokens: 16, inFlightTokens: 512 },
  slots: UNIFIED,
};
const INSTANCES = Object.keys(LAYOUTS);

interface ModelLease {
  readonly instance: string;
  readonly charge: Charge;
  state: 'open' | 'draining' | 'ended';
  generatedTokens: number | null;
}

/** What the ledger should say, from first principles. */
class Model {
  readonly leases: ModelLease[] = [];
  readonly highWaterUnits = new Map<string, number>();
  endedTwice = 0;

  live(instance: string): readonly ModelLease[] {
    return this.leases.filter((lease) => lease.instance === instance && lease.state !== 'ended');
  }

  held({ instance, charge, generatedTokens }: ModelLease): number {
    const layout = LAYOUTS[instance] ?? UNIFIED;
    return generatedTokens === null
      ? charge.prefillUnits
      : heldUnits(layout, charge, 'decode', generatedTokens);
  }

  committed(lease: ModelLease): number {
    const { peakUnits, finalUnits } = lease.charge;
    return lease.generatedTokens === null ? peakUnits : Math.max(finalUnits, this.held(lease));
  }

  sum(instance: string, figure: (lease: ModelLease) => number): number {
    return this.live(instance).reduce((sum, lease) => sum + figure(lease), 0);
  }

  noteHighWater(): void {
    for (const instance of INSTANCES) {
      const held = this.sum(instance, (lease) => this.held(lease));
      this.highWaterUnits.set(instance, Math.max(this.highWaterUnits.get(instance) ?? 0, held));
    }
  }
}

interface Real {
  readonly ledger: Ledger;
  readonly leases: Lease[];
  readonly ended: Lease[];
  freed: number;
  endedTwice: number;
}

type Command = fc.Command<Model, Real>;

function checkAll(model: Model, real: Real): void {
  model.noteHighWater();
  for (const instance of INSTANCES) {
    const totals = real.ledger.totals(instance);
    const { committedUnits, heldUnits: held, heldHighWaterUnits, sequences } = totals;
    expect({ committedUnits, held, heldHighWaterUnits, sequences }).toEqual({
      committedUnits: model.sum(instance, (lease) => model.committed(lease)),
      held: model.sum(instance, (lease) => model.held(lease)),
      heldHighWaterUnits: model.highWaterUnits.get(instance),
      sequences: model.sum(instance, ({ charge }) => charge.sequences),
    });
    for (const figure of [committedUnits, held, heldHighWaterUnits, sequences]) {
      expect(Number.isSafeInteger(figure)).toBe(true);
      expect(figure).toBeGreaterThanOrEqual(0);
    }
    expect(real.ledger.leases(instance).size).toBe(model.live(instance).length);
    expect(real.ledger.mostHeldUnits(instance)).toBeGreaterThanOrEqual(held);
  }
  const live = model.leases.filter(({ state }) => state !== 'ended').length;
  expect(real.ledger.size).toBe(live);
  expect(real.ended).toHaveLength(model.leases.length - live);
  expect(new Set(real.ended).size).toBe(real.ended.length);
  expect(real.endedTwice).toBe(model.endedTwice);
}

class Take implements Command {
  readonly instance: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly samples: number;
  readonly streams: boolean;

  constructor(
    instance: string,
    promptTokens: number,
    outputTokens: number,
    samples: number,
    streams: boolean,
  ) {
    this.instance = instance;
    this.promptTokens = promptTokens;
    this.outputTokens = outputTokens;
    this.samples = samples;
    this.streams = streams;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: Real): void {
    const { instance, samples } = this;
    const layout = LAYOUTS[instance] ?? UNIFIED;
    const charge = chargeOf(layout, this.promptTokens, this.outputTokens, 1, samples);
    real.leases.push(
      real.ledger.take({
        requestId: `r${real.leases.length}`,
        instance,
        layout,
        charge,
        sessionKey: null,
        streams: this.streams,
        takenAtMs: 0,
      }),
    );
    model.leases.push({ instance, charge, state: 'open', generatedTokens: null });
    checkAll(model, real);
  }

  toString(): string {
    return `take(${this.instance}, ${this.promptTokens}+${this.outputTokens} x ${this.samples})`;
  }
}

/** Something that happens to one of the leases so far, ended ones included. */
class Touch implements Command {
  readonly which: number;
  readonly what: 'generated' | 'drain' | 'end';
  readonly tokens: number;

  constructor(which: number, what: 'generated' | 'drain' | 'end', tokens: number) {
    this.which = which;
    this.what = what;
    this.tokens = tokens;
  }

  check(model: Readonly<Model>): boolean {
    return model.leases.length > 0;
  }

  run(model: Model, real: Real): void {
    const index = this.which % model.leases.length;
    const [wanted, lease] = [model.leases[index], real.leases[index]];
    if (wanted === undefined || lease === undefined) throw new Error('no such lease');
    const committedBefore = model.committed(wanted);
    const freedBefore = real.freed;
    const wasLive = wanted.state !== 'ended';
    switch (this.what) {
      case 'generated':
        lease.generated(this.tokens);
        if (wasLive) {
          wanted.generatedTokens = Math.max(wanted.generatedTokens ?? 0, this.tokens);
        }
        expect(real.freed - freedBefore).toBe(
          wasLive && model.committed(wanted) < committedBefore ? 1 : 0,
        );
        break;
      case 'drain':
        lease.drain(this.tokens);
        if (wanted.state === 'open') wanted.state = 'draining';
        expect(real.freed).toBe(freedBefore);
        break;
      case 'end':
        expect(lease.end()).toBe(wasLive);
        if (!wasLive) model.endedTwice += 1;
        wanted.state = 'ended';
        expect(real.freed - freedBefore).toBe(wasLive ? 1 : 0);
        break;
    }
    expect(lease.state).toBe(wanted.state);
    checkAll(model, real);
  }

  toString(): string {
    return `${this.what}(${this.which}, ${this.tokens})`;
  }
}

const commands = fc.commands(
  [
    fc
      .tuple(
        fc.constantFrom(...INSTANCES),
        fc.integer({ min: 1, max: 9_000 }),
        fc.nat({ max: 3_000 }),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
      )
      .map((given) => new Take(...given)),
    fc
      .tuple(
        fc.nat({ max: 50 }),
        fc.constantFrom(
          'generated' as const,
          'generated' as const,
          'drain' as const,
          'end' as const,
        ),
        fc.nat({ max: 4_000 }),
      )
      .map((given) => new Touch(...given)),
  ],
  { maxCommands: 60 },
);

test('whatever happens to leases in whatever order, the ledger says what their sum is', () => {
  fc.assert(
    fc.property(commands, (sequence) => {
      const ledger = new Ledger();
      const real: Real = { ledger, leases: [], ended: [], freed: 0, endedTwice: 0 };
      ledger.onEnded((lease) => real.ended.push(lease));
      ledger.onFreed(() => {
        real.freed += 1;
      });
      ledger.onEndedTwice(() => {
        real.endedTwice += 1;
      });
      fc.modelRun(() => ({ model: new Model(), real }), sequence);
    }),
    { numRuns: 300 },
  );
});

test('who takes only what fits never promises more than there is, whoever ends when', () => {
  const capacityUnits = 10_000;
  const step = fc.oneof(
    fc.record({
      take: fc.tuple(fc.integer({ min: 1, max: 6_000 }), fc.nat({ max: 3_000 })),
    }),
    fc.record({ progress: fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 3_000 })) }),
    fc.record({ end: fc.nat({ max: 20 }) }),
  );
  let granted = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const ledger = new Ledger();
      const live: Lease[] = [];
      for (const each of steps) {
        if ('take' in each) {
          const charge = chargeOf(UNIFIED, each.take[0], each.take[1], 1, 1);
          const { committedUnits, sequences } = ledger.totals('a');
          const view = instanceView({ capacity: known(capacityUnits), committedUnits, sequences });
          if (!fitsNow(view, charge, null)) {
            refused += 1;
            continue;
          }
          granted += 1;
          live.push(
            ledger.take({
              requestId: 'r',
              instance: 'a',
              layout: UNIFIED,
              charge,
              sessionKey: null,
              streams: true,
              takenAtMs: 0,
            }),
          );
        } else if ('progress' in each) {
          const lease = live[each.progress[0] % Math.max(1, live.length)];
          // An engine stops at the limit that it was told.
          lease?.generated(Math.min(each.progress[1], lease.terms.charge.outputTokens));
        } else {
          live.splice(each.end % Math.max(1, live.length), 1)[0]?.end();
        }
        expect(ledger.totals('a').committedUnits).toBeLessThanOrEqual(capacityUnits);
        expect(ledger.totals('a').heldUnits).toBeLessThanOrEqual(capacityUnits);
      }
    }),
    { numRuns: 500 },
  );
  expect(Math.min(granted, refused)).toBeGreaterThan(100);
});
