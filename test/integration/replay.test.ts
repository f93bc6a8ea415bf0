/** `kvgate replay` on the log of a real gate: the control agrees with it, and other thresholds show. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { SimulatedOptions } from '../../backend-adapters/simulated-server/server.ts';
import { type Replayed, replay, replayReport } from '../../proxy/replay.ts';
import { eventually } from '../support/eventually.ts';
import type { Flags } from '../support/gate.ts';
import { GuardedServers } from '../support/guarded-server.ts';
import { chat } from '../support/guarded-stub.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
const folder = dirname(files.write('taken', ''));
const servers = new GuardedServers();
afterAll(async () => {
  await servers.closeAll();
  files.remove();
});

const BURSTS = 8;
const IN_BURST = 12;
const SLOTS: SimulatedOptions = {
  personality: 'slots',
  ...{ slots: 8, unified: true, contextTokens: 4_096, speed: 10 },
  answerTokens: { min: 60, max: 250 },
};

/** Sends bursts of streams, each larger than what can be held, through a gate that logs. @returns the log's path */
async function logged(options: SimulatedOptions, flags: Flags): Promise<string> {
  const log = join(folder, `${randomUUID()}.ndjson`);
  const { url, gate } = await servers.start(options, { 'decision-log': log, ...flags });
  const ask = async (index: number) => {
    const content = `question ${index} `.repeat(20 + ((index * 37) % 60));
    const body = chat({ messages: [{ role: 'user', content }], max_tokens: 1_000, stream: true });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
    await answer.text();
  };
  for (let burst = 0; burst < BURSTS; burst += 1) {
    await Promise.all(
      Array.from({ length: IN_BURST }, (_, index) => ask(burst * IN_BURST + index)),
    );
    await eventually(() => expect(gate.leases()).toBe(0));
  }
  await gate.stop();
  return log;
}

async function replayed(log: string, ...set: string[]): Promise<Replayed> {
  const result = await replay({ log: [log], set, json: false });
  if (!('control' in result)) throw new Error(JSON.stringify(result));
  return result;
}

/** Thresholds that any load goes beyond. */
const LOW = ['medium=0.2', 'high=0.3', 'critical=0.4', 'emergency=0.5'].map(
  (threshold) => `pool-pressure-${threshold}`,
);

describe('the log of a gate', () => {
  let log: string;
  beforeAll(async () => {
    log = await logged(SLOTS, { 'queue-max': 5 });
  }, 30_000);

  test('is reproduced with its own settings', async () => {
    const { requests, reproduced, ...played } = await replayed(log, 'queue-max=5');
    expect(requests).toBe(BURSTS * IN_BURST);
    expect(reproduced.action).toBeGreaterThanOrEqual(0.9);
    expect(reproduced.outcome).toBeGreaterThanOrEqual(0.9);
    expect(played.changed).toEqual(played.control);
    expect(played.log.refused).toBeGreaterThan(0);
    expect(played.guessed).toEqual({ neverRan: played.log.refused, noEnd: 0 });
    expect(played.log.overran).toBe(0);
  });

  test('--set queue-max=0: nobody waits, and more are refused', async () => {
    const { control, changed } = await replayed(log, 'queue-max=0');
    expect(Object.keys(control.decisions).join()).toContain('queue ');
    expect(Object.keys(changed.decisions).join()).not.toContain('queue ');
    expect(changed.refused).toBeGreaterThan(control.refused);
  });

  test('--set reserve=worst-case: less is let in', async () => {
    const { control, changed } = await replayed(log, 'reserve=worst-case');
    expect(changed.admitted).toBeLessThanOrEqual(control.admitted);
    expect(changed.outputTokens).toBeLessThan(control.outputTokens);
  });

  test('--set pool-pressure-*: levels rise, and less is let in; not so with degrade=off', async () => {
    const { control, changed } = await replayed(log, ...LOW);
    expect(changed.admitted).toBeLessThan(control.admitted);
    expect(changed.outputTokens).toBeLessThan(control.outputTokens);
    const off = await replayed(log, ...LOW, 'degrade=off');
    expect(off.changed.admitted).toBeGreaterThan(changed.admitted);
  });

  test('as a table and as JSON', async () => {
    const result = await replayed(log, 'admission-order=route,queue', 'queue-timeout=1');
    expect(result.set).toEqual({ 'admission-order': ['route', 'queue'], 'queue-timeout': 1 });
    expect(replayReport(result)).toMatch(/^admitted +\d+ +\d+ +\d+ +[+-]?\d+$/m);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  test('bad lines are counted, and told by number and field', async () => {
    const path = files.write(
      'bad.ndjson',
      `{"v":1,"type":"settled"}\nx\n${readFileSync(log, 'utf8')}`,
    );
    const { badLines, firstBad } = await replayed(path, 'queue-max=0');
    expect([badLines, firstBad]).toEqual([2, `${path}:1: request is no text`]);
  });

  const without = (type: string) => () =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => !line.includes(`"type":"${type}"`))
      .join('\n');
  const whole = () => readFileSync(log, 'utf8');
  test.each<[string, () => string, string[], string, string]>([
    ['nothing to set', whole, [], 'set', 'is needed'],
    ['a name misspelt', whole, ['queue-mx=1'], 'queue-mx', 'did you mean queue-max?'],
    ['an option that decides nothing', whole, ['port=1'], 'port', 'Memory and Admission'],
    ['no value', whole, ['queue-max'], 'queue-max', 'needs a value'],
    ['a bad value', whole, ['queue-max=many'], 'queue-max', 'must be a whole number'],
    ['a bad word', whole, ['degrade=on'], 'degrade', 'must be one of seed, memory-only, off'],
    [
      'out of order',
      whole,
      ['pool-pressure-high=2', 'pool-pressure-critical=1'],
      'pool-pressure-critical',
      'must be above',
    ],
    ['no settings', without('settings'), ['queue-max=0'], 'log', 'no line of type settings'],
    ['no instance', without('instance'), ['queue-max=0'], 'log', 'no line of type instance'],
    ['no decision', without('decision'), ['queue-max=0'], 'log', 'holds no decision'],
    ['no log at all', () => 'x\ny\n{"v":2}', ['queue-max=0'], 'log', '3 of 3 lines'],
  ])('%s is refused by field', async (name, text, set, field, message) => {
    const path = files.write(`${name.replaceAll(' ', '-')}.ndjson`, text());
    expect(await replay({ log: [path], set, json: false })).toEqual([
      expect.objectContaining({ field, message: expect.stringContaining(message) }),
    ]);
  });
});

test('no log, and one that is not there, with all else that is wrong', async () => {
  expect(await replay({ log: [], set: ['x=1'], json: false })).toMatchObject([
    { field: 'log' },
    { field: 'x' },
  ]);
  const missing = join(folder, 'missing');
  expect(await replay({ log: [missing], set: ['queue-max=0'], json: false })).toMatchObject([
    { field: 'log', message: expect.stringContaining(`${missing} can't be read`) },
  ]);
});

test('a gate of bytes: the log of a transformers server is played on its GPU', async () => {
  const log = await logged(
    { personality: 'dynamic', speed: 10, answerTokens: { min: 60, max: 250 } },
    { 'gpu-source': 'simulated', attention: 'flash', 'queue-max': 5, 'max-concurrency': 6 },
  );
  const { reproduced, log: told, changed, control } = await replayed(log, 'max-concurrency=2');
  expect(reproduced.action).toBeGreaterThanOrEqual(0.9);
  expect(told.heldMemory.peak).toBeGreaterThan(0);
  expect(changed.refused).toBeGreaterThan(control.refused);
}, 30_000);

test('a log that was only observed tells what --set mode=enforce would have refused', async () => {
  const roomy = { ...SLOTS, contextTokens: 65_536 };
  const log = await logged(roomy, { mode: 'observe', 'queue-max': 2 });
  const { log: told, control, changed } = await replayed(log, 'mode=enforce');
  expect([told.admitted, control.admitted]).toEqual([BURSTS * IN_BURST, BURSTS * IN_BURST]);
  expect(changed.refused).toBeGreaterThan(0);
}, 30_000);

test('requests of two pools are played on both', async () => {
  const large = await servers.backend(SLOTS);
  const log = await logged(SLOTS, { 'backend-large': [large.url], 'large-req-tokens': 500 });
  const { reproduced, changed, control } = await replayed(log, 'large-req-tokens=100000');
  expect(reproduced.action).toBeGreaterThanOrEqual(0.9);
  expect(control.decisions['route large_request']).toBeGreaterThan(0);
  expect(changed.decisions['route large_request']).toBeUndefined();
}, 30_000);
