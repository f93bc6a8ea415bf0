/** The sequences that run in an engine, and the steps they have made together. */
import { EndHeap } from './end-heap.ts';
import type { Entry } from './entry.ts';
import type { KvAccount } from './kv-account.ts';

export class Batch {
  readonly account: KvAccount;
  /** In the order they were let in, and of these the ones whose prompt is not computed yet. */
  readonly running: Entry[] = [];
  readonly prefilling: Entry[] = [];
  /** Steps since the start that have ended, and that have begun: what is held is of the latter. */
  doneSteps = 0;
  #begunSteps = 0;
  #decoding = 0;
  /** KV tokens that the step in flight reads for the decoding ones. */
  #kvTokens = 0;
  /** Decoding from the next step on. */
  #fresh: Entry[] = [];
  readonly #ends = new EndHeap();

  constructor(account: KvAccount) {
    this.account = account;
  }

  get decoding(): number {
    return this.#decoding;
  }

  get kvTokens(): number {
    return this.#kvTokens;
  }

  get freeUnits(): number {
    return this.account.capacityUnits - this.account.usedUnits;
  }

  /** Steps from those done until the first sequence ends; Infinity where none decodes. */
  get stepsToFirstEnd(): number {
    const { first } = this.#ends;
    return first === undefined ? Number.POSITIVE_INFINITY : first.endStep - this.doneSteps;
  }

  generatedTokens(entry: Entry): number {
    if (entry.state !== 'decoding') return entry.producedTokens;
    return entry.producedTokens + this.doneSteps - entry.decodesFromStep;
  }

  /** What it took at its start is in `heldUnits` and counted. */
  start(entry: Entry): void {
    entry.state = 'prefilling';
    this.running.push(entry);
    this.prefilling.push(entry);
  }

  /** Makes a prefilling one hold `units`; the room was looked for before. */
  hold(entry: Entry, units: number): void {
    this.account.usedUnits += units - entry.heldUnits;
    entry.heldUnits = units;
  }

  /** The prompt is computed and gave one token; more follow unless that was all. */
  endPrefill(entry: Entry): void {
    remove(this.prefilling, entry);
    this.hold(entry, this.account.prefilledUnits(entry));
    entry.state = 'decoding';
    entry.producedTokens += 1;
    entry.decodesFromStep = this.doneSteps;
    entry.endStep = this.doneSteps + Math.max(0, entry.outputTokens - entry.producedTokens);
    this.#decoding += 1;
    this.#kvTokens += entry.targetTokens;
    this.#fresh.push(entry);
    this.#ends.add(entry);
  }

  /** Takes the next one whose end has come out of the batch. */
  takeEnded(): Entry | null {
    const { first } = this.#ends;
    if (first === undefined || first.endStep > this.doneSteps) return null;
    this.leave(first);
    return first;
  }

  /** It holds nothing any more. Its state is the caller's to set. */
  leave(entry: Entry): void {
    remove(this.running, entry);
    if (entry.state === 'decoding') {
      const tokens = this.#cachedTokens(entry);
      entry.producedTokens = this.generatedTokens(entry);
      this.#kvTokens -= tokens;
      this.#decoding -= 1;
      this.#ends.remove(entry);
      if (entry.isInSum) this.#takeOutOfSum(entry, tokens);
      else remove(this.#fresh, entry);
    } else {
      remove(this.prefilling, entry);
    }
    this.hold(entry, 0);
  }

  /**
   * Begins a step in which every decoding one makes a token. False, and nothing
   * begun, where it is not certain that there is room for all.
   */
  beginStep(): boolean {
    const { account } = this;
    let needed = account.stepUnits();
    for (const entry of this.#fresh) {
      needed += Math.max(0, account.decodeUnits(entry.targetTokens + 1) - entry.heldUnits);
    }
    if (needed > this.freeUnits) return false;
    this.growBy(1);
    for (const entry of this.#fresh) {
      this.hold(entry, account.decodeUnits(entry.targetTokens + 1));
      this.#putIntoSum(entry);
    }
    this.#fresh.length = 0;
    return true;
  }

  /**
   * The same where memory is short: room is taken for one after another.
   * `findRoom` is told who lacks how many units, and takes others, or that one
   * itself, out of the batch until it is there.
   */
  beginTightStep(findRoom: (entry: Entry, units: number) => void): void {
    const { account } = this;
    const decoding = this.running.filter((entry) => entry.state === 'decoding');
    for (const entry of decoding) {
      if (!entry.isInSum) continue;
      this.#takeOutOfSum(entry, this.#cachedTokens(entry));
      this.#fresh.push(entry);
    }
    for (const entry of decoding) {
      if (entry.state !== 'decoding') continue;
      const units = account.decodeUnits(this.#cachedTokens(entry) + 1);
      if (units - entry.heldUnits > this.freeUnits) findRoom(entry, units - entry.heldUnits);
      if (entry.state === 'decoding') this.hold(entry, units);
    }
    this.growBy(1);
    for (const entry of this.#fresh) this.#putIntoSum(entry);
    this.#fresh.length = 0;
  }

  /** Begins that many more steps, for which room is certain. */
  growBy(steps: number): void {
    this.account.grow(steps);
    this.#begunSteps += steps;
    this.#kvTokens += steps * this.#decoding;
  }

  get begunSteps(): number {
    return this.#begunSteps;
  }

  #cachedTokens(entry: Entry): number {
    return entry.targetTokens + this.#begunSteps - entry.decodesFromStep;
  }

  #putIntoSum(entry: Entry): void {
    entry.isInSum = true;
    this.account.join(this.#cachedTokens(entry));
  }

  #takeOutOfSum(entry: Entry, tokens: number): void {
    entry.isInSum = false;
    entry.heldUnits = this.account.decodeUnits(tokens);
    this.account.leave(tokens);
  }
}

function remove(entries: Entry[], entry: Entry): void {
  const index = entries.indexOf(entry);
  if (index >= 0) entries.splice(index, 1);
}
