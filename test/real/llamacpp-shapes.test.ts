/**
 * A real llama-server in every shape that changes what its memory is, found and
 * guarded by kvgate: the facts are the server's own figures, every kind of
 * route works, and nothing is left behind.
 */
import { afterEach, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { slotsOf } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';

interface Shape {
  readonly name: string;
  readonly args: readonly string[];
  readonly capacityUnits: number;
  readonly slots: number;
  /** KV bytes of an element. */
  readonly elementBytes?: number;
  readonly hidesSlots?: boolean;
  /** What the operator is told, in words that are part of it. */
  readonly warnings?: readonly string[];
}

const SHAPES: readonly Shape[] = [
  { name: 'split', args: ['-c', '8192', '-np', '4'], capacityUnits: 8192, slots: 4 },
  { name: 'unified by default', args: ['-c', '4096'], capacityUnits: 4096, slots: 4 },
  {
    name: 'unified by request',
    args: ['-c', '2048', '-np', '2', '-kvu'],
    capacityUnits: 2048,
    slots: 2,
  },
  { name: 'one slot', args: ['-c', '2048', '-np', '1'], capacityUnits: 2048, slots: 1 },
  { name: 'odd sizes', args: ['-c', '3001', '-np', '3'], capacityUnits: 3 * 1024, slots: 3 },
  {
    name: 'a limit for each slot of a pool',
    args: ['--kv-unified-per-slot', '1024'],
    capacityUnits: 4096,
    slots: 4,
  },
  {
    name: 'split, full windows',
    args: ['-c', '8192', '-np', '4', '--swa-full'],
    capacityUnits: 8192,
    slots: 4,
  },
  {
    name: 'unified, full windows',
    args: ['-c', '4096', '--swa-full'],
    capacityUnits: 4096,
    slots: 4,
  },
  {
    name: 'split, q8_0',
    args: ['-c', '8192', '-np', '4', '-ctk', 'q8_0', '-ctv', 'q8_0'],
    capacityUnits: 8192,
    slots: 4,
    elementBytes: 34 / 32,
  },
  {
    name: 'unified, q8_0, full windows',
    args: ['-c', '4096', '-ctk', 'q8_0', '-ctv', 'q8_0', '--swa-full'],
    capacityUnits: 4096,
    slots: 4,
    elementBytes: 34 / 32,
  },
  {
    name: 'drafting from its own text',
    args: ['-c', '4096', '--spec-type', 'ngram-simple', '--spec-ngram-simple-size-n', '2'],
    capacityUnits: 4096,
    slots: 4,
  },
  {
    name: 'hidden slots',
    args: ['-c', '2048', '-np', '2', '--no-slots'],
    capacityUnits: 2048,
    slots: 2,
    hidesSlots: true,
    warnings: ['--no-slots'],
  },
  {
    name: 'a server that would sleep',
    args: ['-c', '2048', '-np', '1', '--sleep-idle-seconds', '60'],
    capacityUnits: 2048,
    slots: 1,
    warnings: ['--sleep-idle-seconds'],
  },
];

const MIB = 1024 ** 2;

describeReal('llama-server in the shape of', () => {
  let server: RunningLlamaServer;
  let gate: TestGate;
  afterEach(async () => {
    await gate?.stop();
    await server?.stop();
  });

  test.each(SHAPES)('$name', async (shape) => {
    const { args, capacityUnits, slots, warnings = [] } = shape;
    server = await startLlamaServer([...args, '-lv', '4']);
    gate = await startTestGate({
      backend: [server.url],
      'gpu-source': 'none',
      'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    });

    const [instance] = gate.gate.overview.instances();
    expect(instance).toMatchObject({
      adapter: 'llamacpp',
      memoryModel: 'slots',
      capacityUnits,
      maxSequences: slots,
    });
    const told = serverFigures(server.log());
    expect(told.slots).toBe(slots);
    expect(capacityUnits).toBeLessThanOrEqual(told.poolCells);
    expect(told.unified ? told.slotCells : slots * told.slotCells).toBeLessThanOrEqual(
      capacityUnits,
    );
    expectKvBytes(gate, told, shape.elementBytes ?? 2);
    const assumed = gate.logged.filter(({ msg }) => msg === 'Backend facts assumed');
    expect(assumed.map(({ fields }) => Object(fields).detail)).toEqual(
      warnings.map((words) => expect.stringContaining(words)),
    );

    await expectWork(gate.url);
    await eventually(() => expect(gate.leases()).toBe(0), 10_000);
    if (shape.hidesSlots) return;
    expect((await slotsOf(server)).filter((slot) => slot.is_processing)).toEqual([]);
  });
});

interface ServerFigures {
  readonly slots: number;
  readonly slotCells: number;
  readonly unified: boolean;
  /** `n_ctx`: of all slots together. */
  readonly poolCells: number;
  readonly caches: readonly { cells: number; layers: number; streams: number; mib: number }[];
}

/** What the server printed about its own memory. */
function serverFigures(log: string): ServerFigures {
  const slots = /n_slots = (\d+), n_ctx_slot = (\d+), kv_unified = '(\w+)'/.exec(log) ?? [];
  const pool = /llama_context: n_ctx += (\d+)/.exec(log) ?? [];
  const caches = log.matchAll(
    /size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +\d+\/(\d+) seqs\)/g,
  );
  return {
    slots: Number(slots[1]),
    slotCells: Number(slots[2]),
    unified: slots[3] === 'true',
    poolCells: Number(pool[1]),
    caches: [...caches].map(([, mib, cells, layers, streams]) => ({
      mib: Number(mib),
      cells: Number(cells),
      layers: Number(layers),
      streams: Number(streams),
    })),
  };
}

/** The caches are as large as the layout says, and layers without a window are those in the large ones. */
function expectKvBytes(gate: TestGate, told: ServerFigures, elementBytes: number): void {
  const [known] = gate.gate.specs();
  if (known === undefined) throw new Error('the model is not known');
  expect(known.kvBytesPerElement).toBe(elementBytes);
  expect(told.caches).toHaveLength(2);
  const [group] = known.spec.groups;
  if (group === undefined) throw new Error('no layers');
  const elements = group.kvHeads * (group.keyDim + group.valueDim);
  for (const { cells, layers, streams, mib } of told.caches) {
    const bytes = cells * streams * layers * elements * elementBytes;
    expect(Math.abs(mib - bytes / MIB)).toBeLessThan(0.006);
  }
  const full = Math.max(...told.caches.map(({ cells }) => cells));
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  expect(sum(told.caches.filter(({ cells }) => cells === full).map(({ layers }) => layers))).toBe(
    sum(known.spec.groups.filter((g) => g.windowTokens === null).map(({ layers }) => layers)),
  );
}

/** A chat, a stream and a native completion, each with all the tokens it asked for. */
async function expectWork(url: string): Promise<void> {
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.text();
    expect([path, answer.status, text]).toEqual([path, 200, text]);
    return text;
  };
  const messages = [{ role: 'user', content: 'hi' }];
  const chat = JSON.parse(await post('/v1/chat/completions', { messages, max_tokens: 5 }));
  expect(chat.usage.completion_tokens).toBe(5);
  const stream = await post('/v1/chat/completions', { messages, max_tokens: 5, stream: true });
  expect(stream).toMatch(/"predicted_n":5[^\n]*\n\ndata: \[DONE\]\n\n/);
  const native = JSON.parse(await post('/completion', { prompt: 'hi', n_predict: 5 }));
  expect(native).toMatchObject({ stop: true, tokens_predicted: 5 });
}
