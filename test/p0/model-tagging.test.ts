/** Which model answered, on which GPUs, in what precision: everywhere an operator looks. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { GuardedServers, samplesOf } from '../support/guarded-server.ts';
import { get, post } from '../support/simulated-http.ts';

const servers = new GuardedServers();
afterEach(() => servers.closeAll());

const CHAT = { messages: [{ role: 'user', content: 'which model are you?' }], max_tokens: 8 };
const TAGS = { model_id: 'gpt-oss-20b', model_size: '20b', dtype: 'bf16' };

describe('model tagging', () => {
  test('/health names model, size, dtype, GPU mode and prompt version', async () => {
    const { url } = await servers.start({ personality: 'paged' });
    const { status, text } = await get(`${url}/health`);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      dtype: 'bf16',
      model: { ...TAGS, gpu_mode: 'single', prompt_version: 'canonical-1' },
    });
  });

  test('--response-metadata adds the tags and the decision to a JSON answer', async () => {
    const { url } = await servers.start({ personality: 'paged' }, { 'response-metadata': true });
    const answer = await post(`${url}/v1/chat/completions`, CHAT);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text).metadata).toEqual({
      ...TAGS,
      request_id: answer.headers.get('x-request-id'),
      gpu_mode: 'single',
      prompt_version: 'canonical-1',
      cache_key: answer.headers.get('x-kvgate-cache-key'),
      cache_hit: false,
      tokens_before: 8,
      tokens_after: 8,
      admission_action: 'accept',
    });
  });

  test('metrics and metadata tell the pool of several GPUs from the single one', async () => {
    const [single, multi] = await Promise.all([
      servers.backend({ personality: 'paged' }),
      servers.backend({ personality: 'paged', gpuCount: 4 }),
    ]);
    const flags = {
      backend: [single.url],
      'backend-large': [multi.url],
      'large-req-tokens': 2_000,
      'response-metadata': true,
    };
    const { url } = await servers.gate(flags, multi.url);
    const long = { ...CHAT, messages: [{ role: 'user', content: 'k'.repeat(3_000) }] };
    const answers = [
      await post(`${url}/v1/chat/completions`, CHAT),
      await post(`${url}/v1/chat/completions`, long),
    ];
    const modes = answers.map(({ text }) => JSON.parse(text).metadata);
    expect(modes).toMatchObject([
      { gpu_mode: 'single', admission_action: 'accept' },
      { gpu_mode: 'multi', admission_action: 'route' },
    ]);

    const page = (await get(`${url}/metrics`)).text;
    const pools = [
      { pool: 'default', gpuMode: 'single' },
      { pool: 'large', gpuMode: 'multi' },
    ];
    for (const { pool, gpuMode } of pools) {
      const served = samplesOf(page, 'kvgate_e2e_seconds_count').filter(({ labels }) =>
        labels.includes(`pool="${pool}"`),
      );
      expect(served.map(({ value }) => value)).toEqual([1]);
      expect(served[0]?.labels).toContain(`gpu_mode="${gpuMode}"`);
      for (const [tag, value] of Object.entries(TAGS)) {
        expect(served[0]?.labels).toContain(`${tag}="${value}"`);
      }
    }
  });

  test('metadata leaves every other byte of the answer as the backend sent it', async () => {
    const { url, backendUrl } = await servers.start(
      { personality: 'dynamic' },
      { attention: 'flash', 'response-metadata': true },
    );
    const direct = await post(`${backendUrl}/v1/chat/completions`, CHAT);
    const tagged = await post(`${url}/v1/chat/completions`, CHAT);
    const { metadata } = JSON.parse(tagged.text);
    expect(metadata).toMatchObject(TAGS);
    expect(tagged.text.replace(`,"metadata":${JSON.stringify(metadata)}`, '')).toBe(direct.text);
    expect(Number(tagged.headers.get('content-length'))).toBe(Buffer.byteLength(tagged.text));
  });
});
