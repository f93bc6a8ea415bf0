/**
 * Requests that may confirm kvgate's own counts: the engine tells at their end how
 * many prompt tokens they had. They are counted here only then, so it costs them
 * nothing. What was expected of prompts is set right by the same word.
 */
import type { ScannedRequest } from '../../../backend-adapters/adapter.ts';
import type { TokenRange } from '../../memory/token-bounds.ts';
import type { RequestShape } from '../../policy/types.ts';
import { type Instance, isServing, type ServingInstance } from '../pools.ts';
import type { SettledRequest } from '../settled.ts';
import type { CountingParts } from './prompt-counts.ts';
import type { Destination, Verdict } from './token-trust.ts';

/** At a time; each keeps its body. */
const MAX_WITNESSES = 8;
const LONGEST_BODY_BYTES = 256 * 1024;
/**
 * Vocabularies agree on a few letters, a byte each, and by chance on a sentence.
 * On so much text they seldom do, and three times hardly ever.
 */
const SHORTEST_TEXT_BYTES = 256;
/**
 * A count that is a wide range agrees with many vocabularies: of a chat under a
 * template that is not known, the template's tokens are open, whatever its text.
 */
const WIDE_SHARE = 0.1;
/** Members that hold the text of a prompt, whatever the API. */
const TEXT_MEMBERS = ['messages', 'system', 'instructions', 'input', 'prompt'];

export class CountWitnesses {
  readonly #parts: CountingParts;
  readonly #witnesses = new Map<string, ScannedRequest>();

  constructor(parts: CountingParts) {
    this.#parts = parts;
    parts.pools.onChange((before, after) => {
      if (isAnotherProcess(before, after)) this.#forget(after.name);
    });
  }

  /** A request goes to an instance: if it ends with the engine's count, that may confirm ours. */
  admitted(
    requestId: string,
    instance: ServingInstance,
    request: ScannedRequest,
    { model, promptTokens }: Pick<RequestShape, 'model' | 'promptTokens'>,
  ): void {
    const { local, trust } = this.#parts;
    const { path } = request.route;
    if (instance.adapter.hasNoCounter !== true || promptTokens.source !== 'bytes') return;
    if (request.body.length > LONGEST_BODY_BYTES || local.vocabularyOf(instance) === null) return;
    if (textBytesOf(request) < SHORTEST_TEXT_BYTES) return;
    if (!trust.isWanted({ instance: instance.name, path, model })) return;
    this.#witnesses.set(requestId, request);
    // Who never settles must not keep others from it.
    const [oldest] = this.#witnesses.keys();
    if (this.#witnesses.size > MAX_WITNESSES && oldest !== undefined) {
      this.#witnesses.delete(oldest);
    }
  }

  /** Learns from the engine's own count of a prompt. */
  settled(settled: SettledRequest): void {
    const { requestId, instance, path, shape, decision, told } = settled;
    const witness = this.#witnesses.get(requestId);
    this.#witnesses.delete(requestId);
    const { promptTokens } = told;
    if (promptTokens === null || decision.charge.sequences > 1) return;
    this.#parts.calibration.learn(instance, shape.promptTokens, promptTokens);
    const to = { instance, path, model: shape.model };
    const { lo, hi, source } = decision.estimate.promptTokens;
    if (source === 'tokenizer') {
      if (promptTokens >= lo && promptTokens <= hi) return;
      const verdict = this.#parts.trust.contradicted(to);
      this.#tell(verdict, { instance, path, lo, hi, promptTokens });
    } else if (witness !== undefined) {
      void this.#compare(to, witness, promptTokens);
    }
  }

  async #compare(to: Destination, request: ScannedRequest, promptTokens: number): Promise<void> {
    const { pools, local, trust, cache } = this.#parts;
    const { instance, path } = to;
    const serving = pools.get(instance);
    if (serving === undefined || !isServing(serving)) return;
    const counted = await local.counts(serving, request);
    const now = pools.get(instance);
    if (now === undefined || isGone(now) || isAnotherProcess(serving, now)) return;
    if (counted === null) {
      trust.untold(to);
      return;
    }
    const ranges = counted.counts.filter((count) => count !== null);
    const agreeing = ranges.filter(({ lo, hi }) => lo <= promptTokens && promptTokens <= hi);
    if (agreeing.length > 0 && !agreeing.some(isTelling)) return;
    const body = cache.keyOf(instance, path, request.body) ?? '';
    const verdict = trust.compare(to, counted, promptTokens, body);
    this.#tell(verdict, { instance, path, ...span(ranges), promptTokens });
  }

  #tell(verdict: Verdict, { instance, path, lo, hi, promptTokens }: TokenRangeSeen): void {
    if (verdict === 'unchanged') return;
    this.#parts.cache.clear();
    if (verdict === 'trusted') {
      this.#parts.log.info('Own token counts are used from now on', { instance, path });
      return;
    }
    this.#parts.log.warn("Own token counts are not used: the engine's differ", {
      instance,
      path,
      counted: lo === hi ? String(lo) : `${lo} to ${hi}`,
      engine: promptTokens,
    });
  }

  #forget(instance: string): void {
    this.#parts.trust.forget(instance);
    this.#parts.calibration.forget(instance);
    this.#parts.cache.clear();
  }
}

function isTelling({ lo, hi }: TokenRange): boolean {
  return hi - lo <= WIDE_SHARE * hi;
}

function textBytesOf({ object }: ScannedRequest): number {
  return TEXT_MEMBERS.reduce((sum, name) => sum + (object.members.get(name)?.stringBytes ?? 0), 0);
}

interface TokenRangeSeen {
  readonly instance: string;
  readonly path: string;
  readonly lo: number;
  readonly hi: number;
  /** As the engine counts them. */
  readonly promptTokens: number;
}

function span(ranges: readonly TokenRange[]): { readonly lo: number; readonly hi: number } {
  return {
    lo: Math.min(...ranges.map(({ lo }) => lo)),
    hi: Math.max(...ranges.map(({ hi }) => hi)),
  };
}

function isGone({ health }: Instance): boolean {
  return health.state === 'unreachable' && health.processGone;
}

function isAnotherProcess(before: Instance, after: Instance): boolean {
  return (
    // Once: each look at one that is down finds it gone.
    (isGone(after) && !isGone(before)) ||
    before.adapter?.name !== after.adapter?.name ||
    before.facts?.modelId !== after.facts?.modelId ||
    before.facts?.version !== after.facts?.version
  );
}
