/** Each adapter in front of the simulated server of its kind, over real sockets. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { detectAdapter } from '../../backend-adapters/registry.ts';
import {
  createSimulatedServer,
  type SimulatedOptions,
  type SimulatedServer,
} from '../../backend-adapters/simulated-server/server.ts';
import { splice } from '../../proxy/json/splice.ts';
import { NO_HINTS } from '../support/engines-under-test.ts';
import { eventually } from '../support/eventually.ts';
import { httpEngineIo } from '../support/http-engine-io.ts';
import {
  CHAT,
  CHAT_ROUTE,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;

interface Kind {
  readonly name: string;
  readonly options: SimulatedOptions;
  /** Whether the engine can count tokens. */
  readonly counts: boolean;
}

const KINDS: readonly Kind[] = [
  {
    name: 'llamacpp',
    options: { personality: 'slots', contextTokens: 4096, speed: 100 },
    counts: true,
  },
  {
    name: 'vllm',
    options: { personality: 'paged', contextTokens: 4096, speed: 100 },
    counts: true,
  },
  { name: 'transformers', options: { personality: 'dynamic', speed: 100 }, counts: false },
];

const running: SimulatedServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function started(
  options: SimulatedOptions,
  commandLine: readonly string[] | null = null,
): Promise<{ readonly io: EngineIo; readonly server: SimulatedServer }> {
  const server = createSimulatedServer(options);
  running.push(server);
  const { url } = await server.listen(0, '127.0.0.1');
  return { io: httpEngineIo(url, commandLine), server };
}

async function adapterOf(io: EngineIo) {
  const adapter = await detectAdapter(io, signal);
  if (adapter === null) throw new Error('not detected');
  const result = await adapter.probe(io, NO_HINTS, signal);
  if (!result.ok) throw new Error(result.why);
  return { adapter, ...result };
}

function usageOf(reply: EngineReply): unknown {
  expect(reply.status).toBe(200);
  return JSON.parse(reply.body);
}

describe.each(KINDS)('$name', ({ name, options, counts }) => {
  test('is detected and described', async () => {
    const { io } = await started(options);
    const { adapter, facts, reading } = await adapterOf(io);
    expect(adapter.name).toBe(name);
    expect(facts.modelId).toBe('gpt-oss-20b');
    expect(facts.layout.spec?.id).toBe('gpt-oss-20b');
    expect(reading.state).toBe('ready');
  });

  test("counts and bounds agree with the engine's own usage", async () => {
    const { io } = await started(options);
    const { adapter, facts } = await adapterOf(io);
    const messages = [...MESSAGES, { role: 'assistant', content: 'Hé' }, ...MESSAGES];
    for (const [path, input] of [
      [CHAT, { messages }],
      [COMPLETION, { prompt: 'Once upon a time, ü.' }],
    ] as const) {
      const request = scannedRequest(path, { ...input, max_tokens: 4 });
      const usage = adapter.usage(usageOf(await io.post(path, request.body, signal)), CHAT_ROUTE);
      const promptTokens = usage?.promptTokens ?? Number.NaN;
      const shape = adapter.parse(request, facts);
      if ('invalid' in shape) throw new Error(shape.invalid);
      expect(shape.promptTokens.lo).toBeLessThanOrEqual(promptTokens);
      expect(shape.promptTokens.hi).toBeGreaterThanOrEqual(promptTokens);
      expect(usage?.completionTokens).toBe(4);
      expect(await adapter.countTokens(io, request, signal)).toBe(counts ? promptTokens : null);
    }
  });

  test('obeys a rewritten limit, whichever alias asked for more', async () => {
    const { io } = await started(options);
    const { adapter, facts } = await adapterOf(io);
    const body = { messages: MESSAGES, max_completion_tokens: 40 };
    const request = scannedRequest(CHAT, body);
    const shape = adapter.parse(request, facts);
    if ('invalid' in shape) throw new Error(shape.invalid);
    const { edits } = adapter.rewrite(request, shape, { outputTokens: 8, sampling: {} });
    const spliced = splice(request.body, request.object, edits);
    const usage = adapter.usage(usageOf(await io.post(CHAT, spliced, signal)), CHAT_ROUTE);
    expect(usage?.completionTokens).toBe(8);
  });

  test('reads a stream to its end', async () => {
    const { io } = await started(options);
    const { adapter } = await adapterOf(io);
    const body = {
      messages: MESSAGES,
      max_tokens: 5,
      stream: true,
      stream_options: { include_usage: true },
    };
    const reply = await io.post(CHAT, JSON.stringify(body), signal);
    const events = reply.body
      .split('\n\n')
      .filter((event) => event.startsWith('data: '))
      .map((event) => adapter.streamEvent(event.slice('data: '.length), CHAT_ROUTE));
    expect(events.reduce((sum, event) => sum + event.outputTokens, 0)).toBe(5);
    expect(events.filter((event) => event.isEnd)).toHaveLength(1);
    expect(events.at(-1)?.isEnd).toBe(true);
    expect(events.flatMap(({ usage }) => (usage === null ? [] : [usage]))).toMatchObject([
      { completionTokens: 5 },
    ]);
    expect(events.every((event) => event.error === null)).toBe(true);
  });

  test('a refused connection is unreachable, and a read of it fails', async () => {
    const { io, server } = await started(options);
    const { adapter, facts } = await adapterOf(io);
    server.refuse(true);
    const result = await adapter.probe(io, NO_HINTS, signal);
    expect(result).toMatchObject({ ok: false, state: 'unreachable' });
    expect(await adapter.detect(io, signal)).toBe(false);
    await expect(adapter.read(io, facts, signal)).rejects.toThrow();
  });
});

test.each([
  ['a split pool', { slots: 4 }, ['llama-server', '-c', '4096', '-np', '4'], false, 1024],
  ['a unified pool', {}, ['llama-server', '-c', '4096'], true, 4096],
])('llama.cpp with %s', async (_, options, commandLine, unified, contextTokens) => {
  const { io } = await started(
    { personality: 'slots', contextTokens: 4096, ...options },
    commandLine,
  );
  const { facts, reading } = await adapterOf(io);
  expect(facts.layout).toMatchObject({ model: 'slots', unified, slots: 4, contextTokens });
  expect(reading.capacityUnits).toBe(4096);
});

test('llama.cpp is detected and waited for while it loads', async () => {
  const { io } = await started({ personality: 'slots', contextTokens: 4096, loadingMs: 300 });
  expect((await detectAdapter(io, signal))?.name).toBe('llamacpp');
  expect(await llamacpp.probe(io, NO_HINTS, signal)).toMatchObject({ state: 'loading' });
  await eventually(async () => {
    expect(await llamacpp.probe(io, NO_HINTS, signal)).toMatchObject({ ok: true });
  });
});

test.each(KINDS.filter(({ counts }) => counts))(
  'the work of $name shows while it runs and is gone afterwards',
  async ({ options }) => {
    const { io } = await started({ ...options, speed: 1 });
    const { adapter, facts } = await adapterOf(io);
    const leaving = new AbortController();
    const body = { messages: MESSAGES, max_tokens: 2000, stream: true };
    const generation = io.post(CHAT, JSON.stringify(body), leaving.signal).catch(() => null);
    await eventually(async () => {
      const reading = await adapter.read(io, facts, signal);
      expect(reading.runningSequences).toBe(1);
      expect(reading.usedUnits).toBeGreaterThan(0);
    });
    leaving.abort();
    await generation;
    await eventually(async () => {
      const reading = await adapter.read(io, facts, signal);
      expect(reading).toMatchObject({ runningSequences: 0, usedUnits: 0 });
    });
  },
);
