/**
 * That the time of a step is what `StepTime` says: a part that is always there,
 * and parts in proportion to sequences, prompt tokens and KV tokens read. The
 * figures of the tiny model on this machine say nothing about a GPU, the form does.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { fitStepTime, predictedMs, type StepSample } from '../support/fit-step-time.ts';
import { post } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';

interface Timed {
  readonly timings: {
    readonly prompt_n: number;
    readonly prompt_ms: number;
    readonly predicted_n: number;
    readonly predicted_per_token_ms: number;
  };
}

const OUTPUT_TOKENS = 150;
const SEQUENCES = [1, 2, 3, 4, 6, 8];
const PROMPTS = [16, 500, 1_500];
const PREFILLS = [128, 256, 512, 1_024, 2_000];
/** The best of so many: what else the machine does only ever makes it slower. */
const ROUNDS = 2;

describeReal('the time of a step of llama-server', () => {
  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '32768', '-np', '8', '--no-kv-unified']);
  });
  afterAll(() => server.stop());

  const complete = async (promptTokens: number, outputTokens: number) => {
    const body = {
      prompt: 'x'.repeat(promptTokens),
      n_predict: outputTokens,
      cache_prompt: false,
    };
    const answer = await post<Timed>(server, '/completion', body);
    expect(answer.status).toBe(200);
    return answer.body.timings;
  };

  /** Of sequences that decode together; who began last was held up the least by others' prompts. */
  const decodeSample = async (sequences: number, promptTokens: number): Promise<StepSample> => {
    const timings = await Promise.all(
      Array.from({ length: sequences }, () => complete(promptTokens, OUTPUT_TOKENS)),
    );
    const ms = Math.min(...timings.map((each) => each.predicted_per_token_ms));
    const kvTokens = sequences * (promptTokens + OUTPUT_TOKENS / 2);
    return { sequences, prefillTokens: 0, kvTokens, ms };
  };

  const prefillSample = async (promptTokens: number): Promise<StepSample> => {
    const { prompt_n: prefillTokens, prompt_ms: ms } = await complete(promptTokens, 1);
    return { sequences: 0, prefillTokens, kvTokens: 0, ms };
  };

  test('is the sum of four parts', async () => {
    await complete(64, 64);
    const wanted = [
      ...SEQUENCES.flatMap((count) => PROMPTS.map((tokens) => () => decodeSample(count, tokens))),
      ...PREFILLS.map((tokens) => () => prefillSample(tokens)),
    ];
    const samples: StepSample[] = [];
    for (const measure of wanted) {
      const rounds: StepSample[] = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await measure());
      samples.push(rounds.reduce((best, other) => (other.ms < best.ms ? other : best)));
    }
    const time = fitStepTime(samples);
    const errors = samples
      .map((sample) => Math.abs(predictedMs(time, sample) / sample.ms - 1))
      .sort((one, other) => one - other);
    const median = errors[Math.floor(errors.length / 2)] ?? Number.NaN;
    const worst = errors.at(-1) ?? Number.NaN;
    console.info(
      `fit over ${samples.length} samples: ${JSON.stringify(time)}; ` +
        `error: median ${(100 * median).toFixed(1)} %, worst ${(100 * worst).toFixed(1)} %`,
    );
    // Loose: two cores that do other things too.
    expect(median).toBeLessThanOrEqual(0.25);
    expect(time.perSequenceMs).toBeGreaterThan(0);
    expect(time.perPrefillTokenMs).toBeGreaterThan(0);
    expect(time.perKvTokenMs).toBeGreaterThan(0);
  }, 120_000);
});
