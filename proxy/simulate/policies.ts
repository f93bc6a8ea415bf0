/** The policies that can be compared: kvgate, the one that knows all, and what people do without it. */
import { assertNever } from '../memory/assert-never.ts';
import { contextTokensOf } from '../memory/units.ts';
import { LengthForecasts } from '../state/lengths/length-forecasts.ts';
import { ClairvoyantLengths } from './clairvoyant-lengths.ts';
import type { EngineModel } from './engine-model.ts';
import { FixedFront } from './fixed-front.ts';
import type { Front, Stage } from './front.ts';
import { CountingGate, NaiveGate, OpenGate } from './gates.ts';
import { INSTANCE_CONFIG } from './instance.ts';
import { KvgateFront } from './kvgate-front.ts';
import type { Machine } from './machine.ts';
import { admissionRequest, PATH } from './requests.ts';
import type { Score } from './score.ts';
import type { SimulationClock } from './virtual-clock.ts';
import type { Rules } from './world.ts';

export type Policy =
  | { readonly name: 'kvgate' | 'oracle' | 'naive' | 'none' }
  /** At most `limit` in flight; null: the one with the best goodput is searched for. */
  | { readonly name: 'static'; readonly limit: number | null };

/** `kvgate`, `oracle`, `naive`, `none`, `static:12` or `static:best`; null for anything else. */
export function policyFrom(text: string): Policy | null {
  if (text === 'kvgate' || text === 'oracle' || text === 'naive' || text === 'none') {
    return { name: text };
  }
  const limit = /^static:(best|[1-9]\d{0,5})$/.exec(text)?.[1];
  if (limit === undefined) return null;
  return { name: 'static', limit: limit === 'best' ? null : Number(limit) };
}

export const POLICY_WORDS = ['kvgate', 'oracle', 'naive', 'none', 'static:N', 'static:best'];

const ONLY_MEMBER = { config: INSTANCE_CONFIG, paths: [PATH] };

export interface FrontParts {
  readonly machine: Machine;
  readonly rules: Rules;
  readonly clock: SimulationClock;
  readonly engine: EngineModel;
  readonly score: Score;
}

/** What stands in front of the engine. @param limit of `static`; others ignore it */
export function frontOf(
  name: Policy['name'],
  limit: number,
  { machine, rules, clock, engine, score }: FrontParts,
  stage: Stage,
): Front & { readonly retryErrors?: readonly number[] } {
  const fixed = (gate: ConstructorParameters<typeof FixedFront>[0]) =>
    new FixedFront(
      gate,
      { ...rules.policy, contextTokens: contextTokensOf(machine.layout) },
      clock,
      stage,
    );
  const guarded = (knows: boolean) => {
    const policy = knows ? { ...rules.policy, degrade: 'off' as const } : rules.policy;
    return new KvgateFront({
      ...{ clock, stage },
      members: [{ ...ONLY_MEMBER, machine: () => machine, gauges: () => engine.gauges() }],
      asked: (request) =>
        admissionRequest(request, knows ? request.outputTokens : request.askedTokens),
      rules: { ...rules, policy, isClairvoyant: knows },
      lengths: knows ? new ClairvoyantLengths() : new LengthForecasts(),
      onLevel: () => score.levelChanged(clock.nowMs()),
    });
  };
  switch (name) {
    case 'kvgate':
      return guarded(false);
    case 'oracle':
      return guarded(true);
    case 'naive':
      return fixed(naiveGate(machine, rules));
    case 'none':
      return fixed(new OpenGate());
    case 'static':
      return fixed(new CountingGate(limit));
    default:
      return assertNever(name);
  }
}

function naiveGate({ layout, capacityBytes }: Machine, { policy, memory }: Rules): NaiveGate {
  const { spec, kvBytesPerElement } = layout;
  if (spec === null) throw new Error('a simulated model is always known');
  return new NaiveGate({
    ...{ spec, kvBytesPerElement, budgetBytes: capacityBytes, policy },
    thresholds: memory.pressure,
  });
}
