/** kvgate in front of a real vLLM: its model of the memory explains what the engine tells and shows. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { startVllmServer } from '../support/vllm-server.ts';

const BATCHED_TOKENS = 256;
const MAX_REQUESTS = 20;

function suite(): void {
  let server: RunningPythonServer;
  let gate: TestGate;
  beforeAll(async () => {
    const args = ['--block-size', '32', '--max-num-batched-tokens', String(BATCHED_TOKENS)];
    server = await startVllmServer(args);
    gate = await startTestGate({
      backend: [server.url],
      'gpu-source': 'none',
      'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
      'drain-timeout': 0,
    });
  }, 150_000);
  afterAll(async () => {
    await gate.stop();
    await server.stop();
  });

  const calibration = () => gate.gate.overview.instances()[0]?.calibration;

  /** Streams an answer that takes a few polls, from a prompt of its own. */
  async function generate(number: number): Promise<void> {
    const answer = await fetch(`${gate.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        prompt: `${number}${'x'.repeat(1_200 + 31 * number)}`,
        max_tokens: 120,
        stream: true,
        ignore_eos: true,
      }),
    });
    expect(answer.status).toBe(200);
    await answer.text();
  }

  test('its own figure tells that on a CPU one batch is in flight, not two', () => {
    expect(calibration()).toMatchObject({
      layout: `${BATCHED_TOKENS} tokens in flight`,
      alarm: null,
    });
  });

  test('what its requests hold is in the range that is modelled', async () => {
    for (let request = 0; request < MAX_REQUESTS; request += 1) {
      await generate(request);
      if ((calibration()?.samples ?? 0) >= 8) break;
    }
    expect(calibration()).toMatchObject({
      layout: `${BATCHED_TOKENS} tokens in flight`,
      samples: 8,
      slope: 1,
      alarm: null,
    });
  }, 120_000);
}

describeReal('vLLM on a CPU: calibration', suite, findPython('vllm'));
