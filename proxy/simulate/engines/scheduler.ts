/**
 * What each step of an engine is made of: a token for every decoding sequence
 * first, then the prompts that have begun, then who waits, as far as the tokens
 * of a step reach (vLLM's scheduler; llama-server composes its batch alike).
 */
import type { Batch } from './batch.ts';
import type { Entry, FailureKind } from './entry.ts';
import type { WaitingLine } from './waiting-line.ts';

export class Scheduler {
  readonly #batch: Batch;
  readonly #line: WaitingLine;
  readonly #maxBatchedTokens: number;
  /** What the step in flight ended with an error; told at its end. */
  #failing: Entry[] = [];
  /** Nobody is let in by a step that had to send one back, or that fails as a whole. */
  #letsIn = true;
  #chunkTokens = 0;
  preemptions = 0;

  constructor(batch: Batch, line: WaitingLine, maxBatchedTokens: number) {
    this.#batch = batch;
    this.#line = line;
    this.#maxBatchedTokens = maxBatchedTokens;
  }

  /** Prompt tokens of the step in flight. */
  get chunkTokens(): number {
    return this.#chunkTokens;
  }

  /** Begins a step: its decoding. `fill` adds its prefill. */
  begin(): void {
    this.#letsIn = true;
    if (this.#batch.beginStep()) return;
    this.#batch.beginTightStep((entry, units) => this.#findRoom(entry, units));
  }

  /** Gives out the step's prompt tokens; asked again when more have come before it started to run. */
  fill(): void {
    const { prefilling, account } = this.#batch;
    this.#chunkTokens = 0;
    for (const entry of prefilling) entry.chunkTokens = 0;
    if (account.prefillsTogether) {
      this.#letWaitingIn();
      this.#prefillTogether();
      return;
    }
    for (const entry of [...prefilling]) this.#prefillNext(entry);
    this.#letWaitingIn();
  }

  /** Steps that can run before the next thing that matters, the one that begins included. */
  quietSteps(limit: number): number {
    if (this.#chunkTokens > 0 || this.#failing.length > 0 || !this.#letsIn) return 1;
    const { account, stepsToFirstEnd, running } = this.#batch;
    const most = Math.min(limit, stepsToFirstEnd);
    if (most <= 1 || !Number.isFinite(stepsToFirstEnd)) return 1;
    const head = running.length < account.maxRunning ? this.#line.first() : null;
    const gateUnits = head === null ? Number.POSITIVE_INFINITY : account.gateUnits(head);
    return 1 + account.quietSteps(most - 1, gateUnits);
  }

  takeFailing(): readonly Entry[] {
    const failing = this.#failing;
    if (failing.length > 0) this.#failing = [];
    return failing;
  }

  #letWaitingIn(): void {
    const { account, running } = this.#batch;
    for (let entry = this.#line.first(); entry !== null; entry = this.#line.first()) {
      if (!this.#letsIn || running.length >= account.maxRunning) return;
      if (!account.prefillsTogether && this.#chunkTokensLeft() === 0) return;
      const verdict = account.start(entry);
      if (verdict === 'waits') return;
      this.#line.shift();
      if (verdict === 'fails') {
        this.#fail(entry, account.failure);
        continue;
      }
      this.#batch.start(entry);
      if (!account.prefillsTogether) this.#prefillNext(entry);
    }
  }

  #chunkTokensLeft(): number {
    return Math.max(0, this.#maxBatchedTokens - this.#batch.decoding - this.#chunkTokens);
  }

  /** The next in line takes all it can. */
  #prefillNext(entry: Entry): void {
    if (entry.state !== 'prefilling') return;
    const tokens = Math.min(this.#chunkTokensLeft(), entry.targetTokens - entry.computedTokens);
    if (tokens === 0 && entry.computedTokens < entry.targetTokens) return;
    const units = this.#batch.account.prefillUnits(entry, tokens);
    if (units - entry.heldUnits > this.#batch.freeUnits) {
      this.#findRoom(entry, units - entry.heldUnits);
      if (entry.state !== 'prefilling') return;
    }
    this.#batch.hold(entry, units);
    entry.chunkTokens = tokens;
    this.#chunkTokens += tokens;
  }

  /** All that prefill get an equal share; what one does not need goes to the others. */
  #prefillTogether(): void {
    const shares = [...this.#batch.prefilling].sort((one, other) => rest(one) - rest(other));
    for (const [index, entry] of shares.entries()) {
      const share = Math.ceil(this.#chunkTokensLeft() / (shares.length - index));
      entry.chunkTokens = Math.min(share, rest(entry));
      this.#chunkTokens += entry.chunkTokens;
    }
  }

  #findRoom(entry: Entry, units: number): void {
    const { account, running } = this.#batch;
    switch (account.onShortage) {
      case 'end-one':
        this.#end(entry);
        return;
      case 'end-all':
        this.#letsIn = false;
        this.#chunkTokens = 0;
        for (const other of [...running]) this.#end(other);
        return;
      case 'preempt-last':
        this.#letsIn = false;
        while (units > this.#batch.freeUnits && entry.state !== 'waiting') {
          this.#preempt(running.at(-1) ?? entry);
        }
        return;
      default:
        assertNever(account.onShortage);
    }
  }

  /** It loses all it computed, the tokens it generated are a part of its prompt from now on. */
  #preempt(entry: Entry): void {
    this.#chunkTokens -= entry.chunkTokens;
    this.#batch.leave(entry);
    entry.state = 'waiting';
    entry.targetTokens = entry.promptTokens + entry.producedTokens;
    entry.computedTokens = 0;
    entry.chunkTokens = 0;
    this.preemptions += 1;
    this.#line.pushFront(entry);
  }

  #end(entry: Entry): void {
    const { account } = this.#batch;
    this.#batch.leave(entry);
    this.#fail(entry, account.failure);
  }

  #fail(entry: Entry, failure: FailureKind): void {
    entry.state = 'failing';
    entry.failure = failure;
    this.#failing.push(entry);
  }
}

function rest(entry: Entry): number {
  return entry.targetTokens - entry.computedTokens;
}

function assertNever(value: never): never {
  throw new Error(`unknown reaction to a shortage: ${String(value)}`);
}
