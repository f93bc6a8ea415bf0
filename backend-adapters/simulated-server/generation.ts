/** One generation request between HTTP and the engine: its sequences, and its answer as it grows. */
import type { ServerResponse } from 'node:http';
import { AnswerFormat, DONE_EVENT, event } from './answer-format.ts';
import type { Choice, GenerationSettings } from './choices.ts';
import { answerId, planChoices } from './choices.ts';
import type { Dialect, GenerationRequest, UsageCounts } from './dialect.ts';
import type { Engine, EngineFault } from './engine.ts';
import { sendReply } from './send-reply.ts';

export type Outcome = 'completed' | 'failed';

export class Generation {
  readonly id: string;
  readonly stream: boolean;
  readonly #request: GenerationRequest;
  readonly #dialect: Dialect;
  readonly #engine: Engine;
  readonly #response: ServerResponse;
  readonly #format: AnswerFormat;
  readonly #choices: readonly Choice[];
  #fault: EngineFault | null = null;

  constructor(
    request: GenerationRequest,
    settings: GenerationSettings,
    dialect: Dialect,
    engine: Engine,
    response: ServerResponse,
    requestId: string | null,
  ) {
    this.#request = request;
    this.#dialect = dialect;
    this.#engine = engine;
    this.#response = response;
    this.stream = request.stream;
    this.id = requestId ?? answerId(request, settings.seed);
    this.#format = new AnswerFormat(request.kind, this.id, settings.modelId);
    this.#choices = planChoices(request, settings, (fault) => {
      this.#fault ??= fault;
      this.cancel();
    });
  }

  submit(): void {
    for (const { sequence } of this.#choices) this.#engine.submit(sequence);
  }

  /** Makes the engine let go of everything at once. */
  cancel(): void {
    for (const { sequence } of this.#choices) this.#engine.cancel(sequence);
  }

  /** Writes what was produced since the last call; the outcome once the answer is complete. */
  flush(): Outcome | null {
    if (this.#fault !== null) {
      this.#writeFault(this.#fault);
      return 'failed';
    }
    if (this.stream) this.#writeEvents();
    if (this.#choices.some((choice) => choice.cachedTokens === null)) return null;
    if (this.stream) this.#response.end();
    else this.#writeWhole();
    return 'completed';
  }

  #writeEvents(): void {
    let events = '';
    for (const [index, choice] of this.#choices.entries()) events += this.#eventsOf(choice, index);
    if (events === '') return;
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        ...this.#dialect.headers(this.id),
      });
    }
    this.#response.write(events + this.#lastEvents());
  }

  #eventsOf(choice: Choice, index: number): string {
    const { sequence, producedTokens, writtenTokens } = choice;
    const isFinished = choice.cachedTokens !== null;
    if (choice.isClosed || (producedTokens === writtenTokens && !isFinished)) return '';
    const text = sequence.text.slice(writtenTokens, producedTokens);
    const opening = writtenTokens === 0 ? this.#format.opening(index) : '';
    const events = opening + this.#format.content(index, text);
    choice.writtenTokens = producedTokens;
    if (!isFinished) return events;
    choice.isClosed = true;
    return events + this.#format.finish(index, choice.reason, this.#finishMembers());
  }

  /** Members of a finish chunk: none while another choice is open or a usage chunk follows. */
  #finishMembers(): Readonly<Record<string, unknown>> {
    if (!this.#choices.every((choice) => choice.isClosed)) return {};
    const counts = this.#counts();
    if (this.#usageInFinishChunk()) {
      return { usage: this.#dialect.usage(counts), ...this.#dialect.extras(counts) };
    }
    return this.#request.includeUsage ? {} : this.#dialect.extras(counts);
  }

  #lastEvents(): string {
    if (!this.#choices.every((choice) => choice.isClosed)) return '';
    const done = this.#dialect.streamRules.sendsDone ? DONE_EVENT : '';
    if (!this.#request.includeUsage || this.#usageInFinishChunk()) return done;
    const counts = this.#counts();
    const members = { usage: this.#dialect.usage(counts), ...this.#dialect.extras(counts) };
    return this.#format.usage(members) + done;
  }

  #usageInFinishChunk(): boolean {
    return this.#dialect.streamRules.usageInFinishChunk[this.#request.kind];
  }

  #writeWhole(): void {
    const counts = this.#counts();
    const choices = this.#choices.map(({ sequence, producedTokens, reason }) => ({
      text: sequence.text.slice(0, producedTokens),
      reason,
    }));
    const members = { usage: this.#dialect.usage(counts), ...this.#dialect.extras(counts) };
    sendReply(this.#response, {
      status: 200,
      body: this.#format.whole(choices, members),
      headers: this.#dialect.headers(this.id),
    });
  }

  /** A plain error while nothing was sent; after that an error event, and no `[DONE]`. */
  #writeFault(fault: EngineFault): void {
    const reply = this.#dialect.fault(fault);
    if (this.#response.headersSent) {
      this.#response.end(event(reply.body));
      return;
    }
    sendReply(this.#response, { ...reply, headers: this.#dialect.headers(this.id) });
  }

  #counts(): UsageCounts {
    const { prompts, samplesPerPrompt } = this.#request;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const first = this.#choices.filter((_, index) => index % samplesPerPrompt === 0);
    return {
      promptTokens: sum(prompts.map((prompt) => prompt.tokens.length)),
      cachedTokens: sum(first.map((choice) => choice.cachedTokens ?? 0)),
      completionTokens: sum(this.#choices.map((choice) => choice.producedTokens)),
    };
  }
}
