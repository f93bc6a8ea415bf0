/**
 * What `--decision-log` tells of each decision and each request that ran to its
 * end: enough to learn from, and to decide again under other limits. No prompt,
 * no key, no session and no tenant. docs/decision-log.md describes every field.
 */
import type { Decision, RequestShape } from '../policy/types.ts';
import type { InstanceLine } from './instance-lines.ts';
import type { AdmissionRequest } from './judge.ts';
import type { SettledRequest } from './settled.ts';

/** Takes one line without its end; must neither throw nor wait. */
export interface LineSink {
  write(line: string): void;
}

const MAX_NAME_CHARS = 128;

export class DecisionLog {
  readonly #wallMs: () => number;
  #sink: LineSink | null = null;
  #settings: Readonly<Record<string, unknown>> | null = null;
  /** As they were told last, by name. */
  readonly #instances = new Map<string, InstanceLine>();

  /** @param wallMs milliseconds since 1970: a log is read long after its process is gone */
  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Nothing is told before, and nothing after null. */
  writeTo(sink: LineSink | null): void {
    this.#sink = sink;
    if (sink !== null) for (const line of this.headLines()) sink.write(line);
  }

  /** What a file has to begin with to be understood by itself. */
  headLines(): readonly string[] {
    const instances = [...this.#instances.values()].map((line) => this.#instanceText(line));
    return this.#settings === null ? instances : [this.#settingsText(this.#settings), ...instances];
  }

  /** @param values of the options that decide, by flag name; no secret and no path is among them */
  settings(values: Readonly<Record<string, unknown>>): void {
    this.#settings = values;
    this.#sink?.write(this.#settingsText(values));
  }

  instance(line: InstanceLine): void {
    this.#instances.set(line.instance, line);
    this.#sink?.write(this.#instanceText(line));
  }

  /**
   * @param queuedMs how long it waited before this decision
   * @param observed `--mode observe`: it was reported, and not acted on
   */
  decided(
    request: AdmissionRequest,
    decision: Decision,
    queuedMs: number,
    observed: boolean,
  ): void {
    if (this.#sink === null) return;
    const { id, path, shape, session, neverDegrade } = request;
    const { action, reason, level, promptTokens, estimate, charge } = decision;
    const timeMs = Math.round(this.#wallMs());
    this.#write(this.#sink, {
      type: 'decision',
      timeMs,
      arrivedMs: timeMs - Math.round(queuedMs),
      request: id,
      action,
      reason,
      observed,
      level,
      pool: 'pool' in decision ? decision.pool : null,
      instance: 'instance' in decision ? decision.instance : null,
      ...shapeFields(shape, path),
      inSession: session !== null,
      neverDegrade,
      promptTokens: estimate.promptTokens,
      decidedTokens: promptTokens,
      forecast: estimate.outputTokens,
      maxTokensAsked: shape.requestedOutputTokens,
      maxTokensGranted: 'grant' in decision ? decision.grant.outputTokens : null,
      reservedOutputTokens: charge?.outputTokens ?? null,
      kvBytes: charge?.kvBytes ?? null,
      naiveBytes: charge?.naiveBytes ?? null,
      peakUnits: charge?.peakUnits ?? null,
      finalUnits: charge?.finalUnits ?? null,
      predictedWaitMs: decision.action === 'queue' ? decision.predictedWaitMs : null,
      retryAfterMs: decision.action === 'reject' ? decision.retryAfterMs : null,
    });
  }

  settled(settled: SettledRequest): void {
    if (this.#sink === null) return;
    const { requestId, instance, path, shape, decision, told } = settled;
    const { promptTokens, outputTokens: forecast } = decision.estimate;
    this.#write(this.#sink, {
      type: 'settled',
      timeMs: Math.round(this.#wallMs()),
      request: requestId,
      instance,
      pool: decision.pool,
      ...shapeFields(shape, path),
      promptTokens,
      promptTokensTold: told.promptTokens,
      promptErrorTokens:
        told.promptTokens === null ? null : promptTokens.expected - told.promptTokens,
      cachedTokens: told.cachedTokens,
      forecast,
      maxTokensAsked: shape.requestedOutputTokens,
      maxTokensGranted: decision.grant.outputTokens,
      reservedOutputTokens: decision.charge.outputTokens,
      outputTokens: settled.outputTokens,
      endedBy: settled.endedBy,
      ttftMs: roundedMs(settled.ttftMs),
      totalMs: roundedMs(settled.totalMs),
    });
  }

  #settingsText(values: Readonly<Record<string, unknown>>): string {
    return text({ type: 'settings', timeMs: Math.round(this.#wallMs()), values });
  }

  #instanceText(line: InstanceLine): string {
    return text({ type: 'instance', timeMs: Math.round(this.#wallMs()), ...line });
  }

  #write(sink: LineSink, record: Readonly<Record<string, unknown>>): void {
    sink.write(text(record));
  }
}

function text(record: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ v: 1, ...record });
}

function shapeFields(shape: RequestShape, path: string) {
  return {
    path: path.slice(0, MAX_NAME_CHARS),
    kind: shape.kind,
    model: shape.model?.slice(0, MAX_NAME_CHARS) ?? null,
    effort: shape.reasoningEffort,
    tools: shape.hasTools,
    responseFormat: shape.hasResponseFormat,
    stream: shape.stream,
    temperature: shape.temperature,
    topP: shape.topP,
    prompts: shape.prompts,
    samplesPerPrompt: shape.samplesPerPrompt,
  };
}

function roundedMs(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}
