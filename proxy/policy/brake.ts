/**
 * The emergency brake: who must go before an engine's memory ends, when
 * requests come to take more than was foreseen. Whoever has sent nothing to its
 * client goes back to wait; streams are ended only where that is not enough.
 */
import type { KvLayout } from '../memory/kv-layout.ts';

/**
 * Tokens that each request may still bring until a cancellation has freed its
 * memory: a third of a second of a usual stream where the engine looks whether
 * its client has left only now and then (llama.cpp), half of that where it does
 * at every token. What admission has just packed lasts for longer than either,
 * or the brake would take back what was let in on good grounds.
 */
export function lookaheadTokens(layout: KvLayout): number {
  return layout.model === 'dynamic' ? 16 : 32;
}

/** Where requests overrun at the cost of others: a paged engine preempts, and a slot has its own cells. */
export function overrunHurts(layout: KvLayout): boolean {
  return layout.model === 'dynamic' || (layout.model === 'slots' && layout.unified);
}

export interface BrakeLimits {
  /** Units that leases may fill, beyond which requests are taken back. */
  readonly capacityUnits: number;
  /** Units beyond which streams are ended: at least `capacityUnits`. */
  readonly endUnits: number;
}

export interface BrakeLease {
  /** What it holds now; until its first token that includes the transient of its prefill. */
  readonly heldUnits: number;
  /** What it holds by the time that it has `lookaheadTokens` more. */
  readonly laterUnits: number;
  /**
   * `silent`: its client has not a byte of an answer yet. `leaving`: it is
   * cancelled, and its memory on its way back. `fixed`: its engine would go on
   * with it whoever left.
   */
  readonly state: 'silent' | 'answered' | 'leaving' | 'fixed';
  readonly takenAtMs: number;
}

export interface BrakeInput<L extends BrakeLease> {
  /** null: not known, and what is not known brakes nothing. */
  readonly limits: BrakeLimits | null;
  /** Units held there that no lease explains. */
  readonly othersUnits: number;
  /** In the order they were taken. */
  readonly leases: readonly L[];
  readonly isOn: boolean;
}

export type BrakePlan<L extends BrakeLease> =
  /** Admit as usual. `slackUnits`: what may come to be held before it must be looked at again. */
  | { readonly state: 'ok'; readonly slackUnits: number }
  /** Admit nothing; nobody has to go. */
  | { readonly state: 'hold'; readonly slackUnits: number }
  /** Admit nothing, and make these go. */
  | { readonly state: 'act'; readonly takeBack: readonly L[]; readonly end: readonly L[] };

/**
 * Decides by what all will hold `lookaheadTokens` later. Those who leave will
 * have freed their memory by then. A brake that is on stays on until there is
 * room for twice that many tokens beside those who leave, so that it does not
 * go on and off with each token.
 */
export function planBrake<L extends BrakeLease>(input: BrakeInput<L>): BrakePlan<L> {
  const { limits, othersUnits, leases, isOn } = input;
  if (limits === null) return { state: 'ok', slackUnits: Number.POSITIVE_INFINITY };
  const { capacityUnits, endUnits } = limits;
  const staying = leases.filter(({ state }) => state !== 'leaving');
  // Some hold more now than they will, others less.
  const laterUnits =
    othersUnits +
    Math.max(
      sumOf(staying, ({ heldUnits }) => heldUnits),
      sumOf(staying, (lease) => lease.laterUnits),
    );
  if (laterUnits <= capacityUnits) {
    const state = isOn && !hasRoomAgain(input, capacityUnits) ? 'hold' : 'ok';
    return { state, slackUnits: capacityUnits - laterUnits };
  }
  const takeBack = fewest(inState(staying, 'silent'), laterUnits - capacityUnits);
  const leftUnits = laterUnits - sumOf(takeBack, ({ laterUnits }) => laterUnits);
  const end = fewest(inState(staying, 'answered'), leftUnits - endUnits);
  if (takeBack.length > 0 || end.length > 0) return { state: 'act', takeBack, end };
  return { state: 'hold', slackUnits: Math.max(0, endUnits - leftUnits) };
}

function hasRoomAgain({ leases, othersUnits }: BrakeInput<BrakeLease>, capacityUnits: number) {
  const muchLaterUnits = sumOf(leases, ({ heldUnits, laterUnits }) => 2 * laterUnits - heldUnits);
  return othersUnits + muchLaterUnits <= capacityUnits;
}

/** The youngest come first: the least of their work is lost. */
function inState<L extends BrakeLease>(leases: readonly L[], state: L['state']): readonly L[] {
  return leases
    .filter((lease) => lease.state === state && lease.laterUnits > 0)
    .reverse()
    .sort((a, b) => b.takenAtMs - a.takenAtMs);
}

/**
 * Of these the first that alone frees so many units; else the first ones that
 * do together, without those whom the others make needless; else all.
 */
function fewest<L extends BrakeLease>(candidates: readonly L[], neededUnits: number): readonly L[] {
  if (neededUnits <= 0) return [];
  const alone = candidates.find(({ laterUnits }) => laterUnits >= neededUnits);
  if (alone !== undefined) return [alone];
  const chosen: L[] = [];
  let surplusUnits = -neededUnits;
  for (const candidate of candidates) {
    if (surplusUnits >= 0) break;
    chosen.push(candidate);
    surplusUnits += candidate.laterUnits;
  }
  for (const candidate of [...chosen].reverse()) {
    if (candidate.laterUnits > surplusUnits) continue;
    chosen.splice(chosen.indexOf(candidate), 1);
    surplusUnits -= candidate.laterUnits;
  }
  return chosen;
}

function sumOf<L>(leases: readonly L[], units: (lease: L) => number): number {
  return leases.reduce((sum, lease) => sum + units(lease), 0);
}
