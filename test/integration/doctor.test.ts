/** `kvgate doctor` tells what a backend is in plain words, and whether it would be guarded. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { loadConfig } from '../../proxy/config/load.ts';
import { type Examined, examine } from '../../proxy/doctor.ts';
import { type StubBackend, startStubBackend } from '../support/stub-backend.ts';

let backend: StubBackend;
beforeEach(async () => {
  backend = await startStubBackend({ slots: 4, contextTokens: 8192 });
});
afterEach(() => backend.stop());

function doctor(
  urls: readonly string[],
  flags: Readonly<Record<string, string>> = {},
): Promise<Examined> {
  const loaded = loadConfig({
    command: 'serve',
    flags: { backend: [...urls], 'gpu-source': 'none', ...flags },
    env: {},
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return examine(loaded.config);
}

test('tells engine, model, memory, routes and what is assumed, and generates nothing', async () => {
  const { text, allGuarded } = await doctor([`gpu0=${backend.url}`]);
  expect(allGuarded).toBe(true);
  expect(text).toContain(`gpu0  ${backend.url}`);
  expect(text).toMatch(/Engine +llamacpp, .*\(found by asking it\)/);
  expect(text).toMatch(/Model +gpt-oss-20b: .*12 layers of 8 KV heads x 64 that keep 128 tokens/);
  expect(text).toMatch(/Memory +slots: 4 slots share one pool of cells/);
  expect(text).toMatch(/Capacity +8,192 cells/);
  expect(text).toMatch(/KV +10,000 tokens take 238 MiB/);
  expect(text).toMatch(/Generates +.*\/v1\/chat\/completions/);
  expect(text).toMatch(/- .*pass --kv-layout split/);
  expect(text).toContain('  Guarded.');
  expect(backend.received).toEqual([]);
});

test('what the operator says is no longer assumed', async () => {
  const said = { adapter: 'llamacpp', 'kv-layout': 'split', 'kv-dtype': 'f16' };
  const { text } = await doctor([backend.url], said);
  expect(text).toContain('(as --adapter says)');
  expect(text).toContain('slots: 4 slots of 8192 cells each');
  expect(text).not.toContain('--kv-layout');
  expect(text).not.toContain('--kv-dtype');
});

test('a server that is loading is not guarded yet', async () => {
  backend.loading(true);
  const { text, allGuarded } = await doctor([backend.url]);
  expect(allGuarded).toBe(false);
  expect(text).toMatch(/Not guarded yet: .*Ask again when the model is loaded/);
});

test('one that is not there does not hide the other', async () => {
  const gone = await startStubBackend();
  await gone.stop();
  const { text, allGuarded } = await doctor([`a=${gone.url}`, `b=${backend.url}`]);
  expect(allGuarded).toBe(false);
  expect(text).toMatch(/Nothing listens there: is the server up/);
  expect(text).toContain('  Guarded.');
});

test('a GPU source that can not be had is told, not thrown', async () => {
  const { text, allGuarded } = await doctor([backend.url], { 'gpu-source': 'simulated' });
  expect(allGuarded).toBe(false);
  expect(text).toMatch(/^Can't be guarded as configured: .*simulates its GPUs/);
});
