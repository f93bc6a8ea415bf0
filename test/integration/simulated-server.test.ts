import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { eventsOf, get, openStream, post, SimulatedServers } from '../support/simulated-http.ts';

const MIB = 1024 ** 2;
const servers = new SimulatedServers();
afterEach(() => servers.closeAll());

const CHAT = '/v1/chat/completions';
const COMPLETION = '/v1/completions';
const hello = { messages: [{ role: 'user', content: 'hello' }] };
const HELLO_TOKENS = 64 + 4 + 5;
/** For tests in which requests must meet in the engine. */
const SLOW = 5;

function completion(promptTokens: number, maxTokens: number, letter = 'p') {
  return { prompt: letter.repeat(promptTokens), max_tokens: maxTokens };
}

describe('every personality', () => {
  const personalities = ['dynamic', 'paged', 'slots'] as const;

  test.each(personalities)('%s answers a chat', async (personality) => {
    const { url } = await servers.start({ personality });
    const answer = await post(url + CHAT, { ...hello, max_tokens: 40 });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('server')).toBe('kvgate-simulated');
    expect(JSON.parse(answer.text)).toMatchObject({
      object: 'chat.completion',
      model: 'gpt-oss-20b',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: expect.stringMatching(/^[a-z ]{40}$/) },
          finish_reason: 'length',
        },
      ],
      usage: {
        prompt_tokens: HELLO_TOKENS,
        completion_tokens: 40,
        total_tokens: HELLO_TOKENS + 40,
      },
    });
  });

  test.each(personalities)('%s streams the text of its plain answer', async (personality) => {
    const { url } = await servers.start({ personality });
    for (const [path, body] of [
      [CHAT, { ...hello, max_tokens: 30 }],
      [COMPLETION, completion(50, 30)],
    ] as const) {
      const plain = JSON.parse((await post(url + path, body)).text);
      const events = eventsOf((await post(url + path, { ...body, stream: true })).text);
      const pieces = events.flatMap((event) => piecesOf(event));
      expect(pieces.filter((piece) => piece !== '')).toHaveLength(30);
      const choice = plain.choices[0];
      expect(pieces.join('')).toBe(choice.message?.content ?? choice.text);
    }
  });

  test.each(personalities)(
    '%s gives equal bytes for equal requests and seeds',
    async (personality) => {
      const [one, same, other] = await Promise.all(
        [5, 5, 6].map((seed) => servers.start({ personality, seed })),
      );
      const ask = async (server: typeof one, stream: boolean) =>
        (await post(`${server?.url}${CHAT}`, { ...hello, max_tokens: 200, stream })).text;
      expect(await ask(one, false)).toBe(await ask(same, false));
      expect(await ask(one, true)).toBe(await ask(same, true));
      expect(await ask(one, false)).not.toBe(await ask(other, false));
    },
  );

  test.each(personalities)('%s refuses what is not a request', async (personality) => {
    const { server, url } = await servers.start({ personality });
    const bodies = ['{"messages": [', '[]', { messages: [] }, { ...hello, max_tokens: -5 }];
    for (const body of bodies) expect((await post(url + CHAT, body)).status).toBe(400);
    expect((await post(url + COMPLETION, { prompt: 7 })).status).toBe(400);
    expect((await get(`${url}/nothing`)).status).toBe(404);
    expect(server.state()).toMatchObject({ received: 5, failed: 5, completed: 0 });
  });

  test.each(personalities)('%s refuses bodies over 64 MB', async (personality) => {
    const { url } = await servers.start({ personality });
    expect((await post(url + CHAT, ' '.repeat(64 * MIB + 1))).status).toBe(413);
  });

  test.each(personalities)('%s lets go of a stream that its client left', async (personality) => {
    const { server, url } = await servers.start({ personality });
    const stream = await openStream(url + CHAT, { ...hello, max_tokens: 100_000 });
    expect(server.state().running).toBe(1);
    stream.abort();
    await eventually(() => expect(server.state().cancelled).toBe(1));
    expect(server.state()).toMatchObject({ running: 0, waiting: 0, completed: 0 });
    expect(server.gpu.liveBytes).toBe(0);
  });

  test('a model may end its answer by itself', async () => {
    const { url } = await servers.start({
      personality: 'paged',
      answerTokens: { min: 20, max: 20 },
    });
    const answer = JSON.parse((await post(url + CHAT, hello)).text);
    expect(answer.choices[0].finish_reason).toBe('stop');
    expect(answer.usage.completion_tokens).toBe(20);
    const whole = { ...hello, max_tokens: 50, ignore_eos: true };
    expect(JSON.parse((await post(url + CHAT, whole)).text).usage.completion_tokens).toBe(50);
  });
});

describe('dynamic, like transformers', () => {
  test('a stream ends with finish reason and usage in one chunk, and no [DONE]', async () => {
    const { url } = await servers.start({ personality: 'dynamic' });
    const body = { ...hello, max_tokens: 3, stream: true };
    const answer = await post(url + CHAT, body, { 'x-request-id': 'mine' });
    expect(answer.headers.get('x-request-id')).toBe('mine');
    const events = eventsOf(answer.text);
    expect(events).toHaveLength(5);
    expect(events[0]).toMatchObject({ id: 'mine', choices: [{ delta: { role: 'assistant' } }] });
    expect(events[4]).toMatchObject({
      choices: [{ delta: {}, finish_reason: 'length' }],
      usage: { completion_tokens: 3 },
    });
  });

  test.each([
    [{}, 1024],
    [{ max_completion_tokens: 5 }, 1024],
    [{ generation_config: '{"max_new_tokens":7}' }, 7],
    [{ generation_config: '{"max_new_tokens":7}', max_tokens: 9 }, 9],
  ])('%j gives %i tokens', async (fields, tokens) => {
    const { url } = await servers.start({ personality: 'dynamic' });
    const answer = JSON.parse((await post(url + CHAT, { ...hello, ...fields })).text);
    expect(answer.usage.completion_tokens).toBe(tokens);
  });

  test('a key it does not know is a 422', async () => {
    const { url } = await servers.start({ personality: 'dynamic' });
    const answer = await post(url + CHAT, { ...hello, top_k: 5 });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      422,
      { detail: "Unexpected fields in the request: {'top_k'}" },
    ]);
  });

  test('eager prompts of 25 GB each: two fit 80 GB beside the weights, the third is out of memory', async () => {
    const { server, url } = await servers.start({
      personality: 'dynamic',
      attention: 'eager',
      speed: SLOW,
    });
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((letter) => post(url + COMPLETION, completion(8192, 50, letter))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 500]);
    const failed = answers.find(({ status }) => status === 500);
    expect(JSON.parse(failed?.text ?? '')).toMatchObject({
      error: { type: 'server_error', message: expect.stringMatching(/^CUDA out of memory\./) },
    });
    expect(server.state()).toMatchObject({ received: 3, completed: 2, failed: 1, oom: 1 });
    expect(server.state().peakUsedBytes / 1024 ** 3).toBeCloseTo(0.586 + 12.816 + 2 * 24.948, 1);
    expect(server.gpu.liveBytes).toBe(0);
  });

  test('out of memory while streaming is an event, and the end of that stream', async () => {
    const { server, url } = await servers.start({ personality: 'dynamic' });
    const stream = await openStream(url + CHAT, { ...hello, max_tokens: 100_000 });
    server.gpu.setForeignBytes(server.gpu.totalBytes);
    const events = eventsOf(await stream.rest());
    expect(events.at(-1)).toMatchObject({
      error: { message: expect.stringMatching(/^CUDA out of memory\./) },
    });
    expect(server.state()).toMatchObject({ oom: 1, failed: 1, running: 0 });
  });

  test('a client that leaves stops a plain answer too, unless that is switched off', async () => {
    for (const [cancelsNonStream, ended] of [
      [true, { cancelled: 1, completed: 0 }],
      [false, { cancelled: 0, completed: 1 }],
    ] as const) {
      const { server, url } = await servers.start({ personality: 'dynamic', cancelsNonStream });
      const controller = new AbortController();
      const body = JSON.stringify({ ...hello, max_tokens: 5000 });
      const left = fetch(url + CHAT, { method: 'POST', body, signal: controller.signal });
      await eventually(() => expect(server.state().running).toBe(1));
      controller.abort();
      await expect(left).rejects.toThrow();
      await eventually(() => expect(server.state().running).toBe(0));
      expect(server.state()).toMatchObject(ended);
    }
  });

  test('GPU memory is on show, as nvidia-smi would have it', async () => {
    const { server, url } = await servers.start({ personality: 'dynamic', gpuCount: 4 });
    server.gpu.setForeignBytes(1000, 3);
    const { gpus } = JSON.parse((await get(`${url}/simulated/gpu`)).text);
    expect(gpus).toHaveLength(4);
    expect(gpus[0]).toEqual({
      uuid: expect.stringMatching(/^GPU-/),
      index: 0,
      name: 'Simulated GPU',
      totalBytes: 81_559 * MIB,
      usedBytes: 600 * MIB + 13_761_264_768 / 4,
      utilizationPercent: 0,
    });
    expect(gpus[3].usedBytes - gpus[0].usedBytes).toBe(1000);
    expect(JSON.parse((await get(`${url}/simulated/state`)).text)).toEqual(server.state());
  });
});

describe('paged, like vLLM', () => {
  test('streams a usage chunk when asked, and [DONE]', async () => {
    const { url } = await servers.start({ personality: 'paged' });
    const body = { ...hello, max_tokens: 2, stream: true };
    const plain = eventsOf((await post(url + CHAT, body)).text);
    expect(plain).toHaveLength(5);
    expect(plain.slice(-2)).toMatchObject([{ choices: [{ finish_reason: 'length' }] }, '[DONE]']);
    const withUsage = { ...body, stream_options: { include_usage: true } };
    const events = eventsOf((await post(url + CHAT, withUsage)).text);
    expect(events.slice(-2)).toMatchObject([
      {
        choices: [],
        usage: { completion_tokens: 2, prompt_tokens_details: { cached_tokens: 64 } },
      },
      '[DONE]',
    ]);
  });

  test.each([
    [COMPLETION, completion(100, 500), 'However, the model.s context length is only 512 tokens'],
    [COMPLETION, completion(100, 513), 'max_tokens=513 cannot be greater than max_model_len'],
    [CHAT, { ...hello, max_completion_tokens: 513 }, 'max_completion_tokens=513 cannot be'],
    [CHAT, { ...hello, stream_options: { include_usage: true } }, 'Stream options can only'],
  ])('%s %j is refused, not clamped', async (path, body, message) => {
    const { url } = await servers.start({ personality: 'paged', contextTokens: 512 });
    const answer = await post(url + path, body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({
      error: { type: 'BadRequestError', code: 400, message: expect.stringMatching(message) },
    });
  });

  test.each([
    [COMPLETION, { prompt: 'abc' }, 16],
    [COMPLETION, { prompt: 'abc', max_tokens: null }, 512 - 3],
    [CHAT, hello, 512 - HELLO_TOKENS],
    [CHAT, { ...hello, max_completion_tokens: 5, max_tokens: 9 }, 5],
  ])('%s %j generates %i tokens', async (path, body, tokens) => {
    const { url } = await servers.start({ personality: 'paged', contextTokens: 512 });
    expect(JSON.parse((await post(url + path, body)).text).usage.completion_tokens).toBe(tokens);
  });

  test('a small pool preempts and answers everyone', async () => {
    const { server, url } = await servers.start({
      personality: 'paged',
      contextTokens: 1024,
      numGpuBlocks: 1 + 140,
    });
    const letters = [...'abcd'];
    const answers = await Promise.all(
      letters.map((letter) => post(url + COMPLETION, completion(200, 800, letter))),
    );
    for (const answer of answers) {
      expect(JSON.parse(answer.text).usage.completion_tokens).toBe(800);
    }
    expect(server.state()).toMatchObject({ completed: 4, failed: 0, running: 0 });
    expect(server.state().preemptions).toBeGreaterThan(0);
  });

  test('several choices of several prompts are one answer', async () => {
    const { server, url } = await servers.start({ personality: 'paged' });
    const body = { prompt: ['one', 'two'], n: 2, max_tokens: 10 };
    const { choices, usage } = JSON.parse((await post(url + COMPLETION, body)).text);
    expect(new Set(choices.map((choice: { text: string }) => choice.text)).size).toBe(4);
    expect(usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 40 });
    expect(server.state()).toMatchObject({ received: 1, completed: 1, maxRunning: 4 });
  });

  test('tells its limits, its state and its tokens', async () => {
    const { url } = await servers.start({
      personality: 'paged',
      contextTokens: 1024,
      numGpuBlocks: 1 + 200,
      speed: SLOW,
    });
    expect(await get(`${url}/health`)).toMatchObject({ status: 200, text: '' });
    expect(JSON.parse((await get(`${url}/v1/models`)).text)).toMatchObject({
      data: [{ id: 'gpt-oss-20b', max_model_len: 1024 }],
    });
    expect(JSON.parse((await post(`${url}/tokenize`, { prompt: 'abc' })).text)).toEqual({
      count: 3,
      max_model_len: 1024,
      tokens: [97, 98, 99],
    });
    expect(JSON.parse((await post(`${url}/tokenize`, hello)).text).count).toBe(HELLO_TOKENS);
    const stream = await openStream(url + COMPLETION, completion(320, 700));
    const metrics = (await get(`${url}/metrics`)).text;
    stream.abort();
    expect(metrics).toContain('vllm:num_requests_running{engine="0",model_name="gpt-oss-20b"} 1\n');
    expect(metrics).toMatch(/cache_config_info\{block_size="16",.*num_gpu_blocks="201"/);
    const usage = /kv_cache_usage_perc\{.*\} (.*)/.exec(metrics)?.[1];
    expect(Number(usage) * 200).toBeGreaterThanOrEqual(20 + 8);
    expect(Number(usage) * 200).toBeLessThanOrEqual(64 + 20);
  });
});

describe('slots, like llama-server', () => {
  test('a stream carries timings in its last chunk and ends with [DONE]', async () => {
    const { url } = await servers.start({ personality: 'slots' });
    const body = { ...hello, max_tokens: 2, stream: true };
    const plain = eventsOf((await post(url + CHAT, body)).text);
    expect(plain.slice(-2)).toMatchObject([
      { choices: [{ finish_reason: 'length' }], timings: { cache_n: 0, predicted_n: 2 } },
      '[DONE]',
    ]);
    const withUsage = { ...body, stream_options: { include_usage: true } };
    const events = eventsOf((await post(url + CHAT, withUsage)).text);
    expect(events.slice(-2)).toMatchObject([
      { choices: [], usage: { completion_tokens: 2 }, timings: { cache_n: HELLO_TOKENS - 1 } },
      '[DONE]',
    ]);
  });

  test.each([
    [{ n_predict: 3, max_completion_tokens: 4, max_tokens: 5 }, 3],
    [{ max_completion_tokens: 4, max_tokens: 5 }, 4],
    [{ n_predict: null, max_tokens: 5 }, 5],
    [{ n_predict: -1, max_tokens: 5 }, 2048 - HELLO_TOKENS],
    [{}, 2048 - HELLO_TOKENS],
  ])('%j generates %i tokens', async (fields, tokens) => {
    const { url } = await servers.start({ personality: 'slots', contextTokens: 8192, slots: 4 });
    const answer = JSON.parse((await post(url + CHAT, { ...hello, ...fields })).text);
    expect(answer.usage.completion_tokens).toBe(tokens);
    expect(answer.choices[0].finish_reason).toBe('length');
  });

  test('a prompt that fills its slot is refused in the words of llama-server', async () => {
    const { url } = await servers.start({ personality: 'slots', contextTokens: 8192, slots: 4 });
    const answer = await post(url + COMPLETION, completion(9015, 1));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      400,
      {
        error: {
          code: 400,
          message:
            'request (9015 tokens) exceeds the available context size (2048 tokens), try increasing it',
          type: 'exceed_context_size_error',
          n_prompt_tokens: 9015,
          n_ctx: 2048,
        },
      },
    ]);
  });

  test('an overflow of the unified pool ends every request in flight', async () => {
    const { server, url } = await servers.start({
      personality: 'slots',
      contextTokens: 4096,
      speed: 4 * SLOW,
    });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        post(url + COMPLETION, completion(1500, 1000, String.fromCharCode(65 + index))),
      ),
    );
    const failed = answers.filter(({ status }) => status === 500);
    expect(failed.length).toBeGreaterThanOrEqual(36);
    expect(JSON.parse(failed[0]?.text ?? '')).toEqual({
      error: { code: 500, message: 'Context size has been exceeded.', type: 'server_error' },
    });
    expect(server.state()).toMatchObject({ failed: failed.length, overflow: failed.length });
  });

  test('in a running stream an overflow is an event without [DONE]', async () => {
    const { url } = await servers.start({
      personality: 'slots',
      contextTokens: 1024,
      unified: true,
      speed: SLOW,
    });
    const stream = await openStream(url + COMPLETION, completion(500, 2000));
    const other = await post(url + COMPLETION, completion(520, 400, 'q'));
    const events = eventsOf(await stream.rest());
    expect(events.at(-1)).toMatchObject({ error: { message: 'Context size has been exceeded.' } });
    expect(other.status).toBe(500);
  });

  test('tells its slots, its properties and its tokens, and erases a slot', async () => {
    const { url } = await servers.start({ personality: 'slots', contextTokens: 8192, slots: 2 });
    expect(JSON.parse((await get(`${url}/props`)).text)).toMatchObject({
      total_slots: 2,
      model_alias: 'gpt-oss-20b',
      build_info: expect.any(String),
      default_generation_settings: { n_ctx: 4096 },
    });
    await post(url + CHAT, { ...hello, max_tokens: 10 });
    const cells = HELLO_TOKENS + 9;
    expect(JSON.parse((await get(`${url}/slots`)).text)).toMatchObject([
      {
        id: 0,
        n_ctx: 4096,
        is_processing: false,
        n_prompt_tokens: cells,
        next_token: [{ has_next_token: false, n_remain: 0, n_decoded: 10 }],
      },
      { id: 1, n_ctx: 4096, is_processing: false },
    ]);
    expect(JSON.parse((await post(`${url}/slots/0?action=erase`, {})).text)).toEqual({
      id_slot: 0,
      n_erased: cells,
    });
    expect((await post(`${url}/slots/0?action=save`, {})).status).toBe(501);
    const counted = await post(`${url}${CHAT}/input_tokens`, hello);
    expect(JSON.parse(counted.text)).toMatchObject({ input_tokens: HELLO_TOKENS });
    const tokenized = await post(`${url}/tokenize`, { content: 'ab' });
    expect(JSON.parse(tokenized.text)).toEqual({ tokens: [97, 98] });
    expect(JSON.parse((await get(`${url}/v1/models`)).text)).toMatchObject({
      data: [{ meta: { n_ctx: 4096, n_ctx_train: 131_072 } }],
    });
    expect((await get(`${url}/metrics`)).text).toContain('llamacpp:tokens_predicted_total 10\n');
  });

  test('everything is 503 while the model loads', async () => {
    const { url } = await servers.start({ personality: 'slots', loadingMs: 3_600_000 });
    for (const path of ['/health', '/props', '/slots', '/metrics']) {
      const answer = await get(url + path);
      expect([answer.status, JSON.parse(answer.text).error.message]).toEqual([
        503,
        'Loading model',
      ]);
    }
    expect((await post(url + CHAT, hello)).status).toBe(503);
  });
});

describe('faults on demand', () => {
  test('dropped connections break streams, and the engine lets go', async () => {
    const { server, url } = await servers.start({ personality: 'slots' });
    const stream = await openStream(url + CHAT, hello);
    server.dropConnections();
    await expect(stream.rest()).rejects.toThrow();
    await eventually(() => expect(server.state().running).toBe(0));
  });

  test('a server that refuses can be reached again afterwards', async () => {
    const { server, url } = await servers.start({ personality: 'dynamic' });
    server.refuse(true);
    await expect(get(`${url}/health`)).rejects.toThrow();
    server.refuse(false);
    expect((await get(`${url}/health`)).status).toBe(200);
  });
});

function piecesOf(event: unknown): string[] {
  const { choices = [] } = event as {
    choices?: { delta?: { content?: string }; text?: string }[];
  };
  return choices.map((choice) => choice.delta?.content ?? choice.text ?? '');
}
