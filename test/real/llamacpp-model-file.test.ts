/** A real llama-server names the file of its model, and the file tells the model's geometry. */
import { afterEach, expect, test } from '@jest/globals';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { engineHost } from '../../proxy/engine-host.ts';
import { describeReal } from '../support/describe-real.ts';
import { NO_HINTS } from '../support/engines-under-test.ts';
import { httpEngineIo } from '../support/http-engine-io.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { specOfTiny, tinyModelFile } from '../support/llamacpp-shapes.ts';

describeReal('a real llama-server', () => {
  let server: RunningLlamaServer;
  afterEach(() => server?.stop());

  test.each(['gpt-oss', 'llama', 'qwen35'] as const)('of a tiny %s', async (model) => {
    const args = ['-m', tinyModelFile(model), '-c', '4096', '-np', '2'];
    server = await startLlamaServer(args, { model: 'none' });
    const io = { ...httpEngineIo(server.url), ...engineHost(server.url) };
    const result = await llamacpp.probe(io, NO_HINTS, AbortSignal.timeout(10_000));
    if (!result.ok) throw new Error(result.why);
    const { layout, warnings } = result.facts;
    const { groups, states, vocabSize, contextTokens } = specOfTiny(model);
    expect(layout.spec).toMatchObject({ groups, states, vocabSize, contextTokens });
    expect(warnings.join()).not.toContain('--model-config');
  });
});
