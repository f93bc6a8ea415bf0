/** What a gate learns of output lengths: kept over a restart, told in a log, learned again from it. */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type Flags, startTestGate } from '../support/gate.ts';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerJson } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const made: { remove(): void }[] = [];
afterAll(() => {
  for (const files of made) files.remove();
});

let stub: GuardedStub | null = null;
afterEach(async () => {
  await stub?.stop();
  stub = null;
});

/** A path in a folder of its own, with nothing there yet. */
function freshPath(name: string): string {
  const files = createTempFiles();
  made.push(files);
  return join(dirname(files.write('taken', '')), name);
}

const start = (flags: Flags) => startGuardedStub(flags, { contextTokens: 100_000 });

/** Answers that take this long, one request after the other. */
async function ask({ backend, post }: GuardedStub, lengths: readonly number[]): Promise<void> {
  for (const completion_tokens of lengths) {
    const usage = { prompt_tokens: 70, completion_tokens };
    const choices = [{ index: 0, message: { role: 'assistant', content: 'x' } }];
    backend.answerWith(answerJson(200, JSON.stringify({ choices, usage })));
    const body = chat({
      messages: [{ role: 'user', content: 'the secret of the prompt' }],
      max_tokens: 2_000,
      reasoning_effort: 'high',
    });
    const answer = await post(body, { 'x-session-id': 'secret-session' });
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
  }
}

const twenty = Array.from({ length: 20 }, (_, index) => 101 + index);

async function forecastOf({ url }: GuardedStub): Promise<unknown> {
  const body = chat({ max_tokens: 100, reasoning_effort: 'high' });
  const answer = await fetch(`${url}/explain`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const { decision } = (await answer.json()) as {
    decision: { estimate: { outputTokens: unknown } };
  };
  return decision.estimate.outputTokens;
}

const KNOWN = { q50Tokens: 110, q95Tokens: 120, q99Tokens: 120 };

describe('--state-dir', () => {
  test('the next process forecasts what the last one had learned', async () => {
    const folder = freshPath('state');
    stub = await start({ 'state-dir': folder });
    expect(await forecastOf(stub)).toBeNull();
    await ask(stub, twenty);
    await stub.settled();
    await eventually(async () => expect(await forecastOf(stub as GuardedStub)).toEqual(KNOWN));
    await stub.stop();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(folder, 'learned.json'), 'utf8')).not.toContain('secret');

    stub = await start({ 'state-dir': folder });
    expect(await forecastOf(stub)).toEqual(KNOWN);
    const stats = (await (await fetch(`${stub.url}/stats`)).json()) as Record<string, unknown>;
    expect(stats.output_lengths).toMatchObject([
      { kind: [], samples: 20 },
      { kind: ['gpt-oss-20b', '/v1/chat/completions', 'high', false], q50_tokens: 110 },
    ]);
  });

  test('what can not be read is set aside, and the gate starts', async () => {
    const folder = freshPath('state');
    mkdirSync(folder);
    for (let round = 1; round <= 7; round += 1) {
      writeFileSync(join(folder, 'learned.json'), '{"version":1,"lengths":[{"group"');
      stub = await start({ 'state-dir': folder });
      expect(stub.test.logged.map(({ msg }) => msg)).toContain('Learned state set aside');
      expect(await forecastOf(stub)).toBeNull();
      await stub.stop();
    }
    expect(readdirSync(folder)).toHaveLength(5);
  });

  test.each(['state-dir', 'decision-log'])(
    'a --%s that can not be is an error that names it',
    async (flag) => {
      const taken = freshPath('taken');
      const starting = startTestGate({
        backend: ['http://127.0.0.1:9'],
        'gpu-source': 'none',
        [flag]: join(taken, 'x'),
      });
      await expect(starting).rejects.toMatchObject({
        code: 'cannot_start',
        message: expect.stringContaining(`--${flag}: ${taken}`),
      });
    },
  );
});

describe('--decision-log and kvgate train', () => {
  async function logged(lengths: readonly number[]): Promise<string> {
    const log = freshPath('decisions.ndjson');
    stub = await start({ 'decision-log': log });
    await ask(stub, lengths);
    await stub.settled();
    await stub.stop();
    stub = null;
    return log;
  }

  test('a line for each decision and each answer, without prompts, sessions or keys', async () => {
    const log = await logged([150]);
    const text = readFileSync(log, 'utf8');
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toMatchObject([
      { type: 'settings', values: { 'queue-max': 64, reserve: 'chance' } },
      { type: 'instance', memoryModel: 'slots', large: false },
      { type: 'decision', action: 'accept', inSession: true, maxTokensAsked: 2_000 },
      { type: 'settled', outputTokens: 150, endedBy: 'itself', effort: 'high' },
    ]);
    expect(lines[2]?.request).toBe(lines[3]?.request);
    expect(text).not.toContain('secret');
    expect(statSync(log).mode & 0o777).toBe(0o600);
  });

  test('train learns what the gate would have learned', async () => {
    const log = await logged(twenty);
    const folder = freshPath('state');
    writeFileSync(log, 'garbage\n', { flag: 'a' });
    const { code, out, err } = await kvgate(['train', '--log', log, '--state-dir', folder]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('20 answers learned from; 1 bad lines left out');
    expect(out).toContain(`${log}:43: is no JSON object`);
    expect(out).toMatch(/^gpt-oss-20b +\/v1\/chat\/completions +high +no +20 +110 +120 +120 +-$/m);

    stub = await start({ 'state-dir': folder });
    expect(await forecastOf(stub)).toEqual(KNOWN);
  });

  test('train tells how many of the second half were covered', async () => {
    const log = freshPath('log');
    const [settled = ''] = readFileSync(await logged([150]), 'utf8')
      .trim()
      .split('\n')
      .slice(-1);
    const line = JSON.parse(settled) as object;
    const lines = Array.from({ length: 4_000 }, (_, index) =>
      JSON.stringify({ ...line, outputTokens: 1 + ((index * 7_919) % 1_000) }),
    );
    writeFileSync(log, lines.join('\n'));
    const { out } = await kvgate(['train', '--log', log, '--state-dir', freshPath('state')]);
    const covered = /covered ([\d.]+) % of 2000 answers/.exec(out)?.[1];
    expect(Math.abs(Number(covered) - 95)).toBeLessThanOrEqual(1);
  });

  test.each<[string, (log: string, folder: string) => string[], number, string]>([
    ['no flags', () => [], 2, '--log'],
    ['no folder', (log) => ['--log', log], 2, '--state-dir'],
    ['no such log', (log, folder) => ['--log', `${log}x`, '--state-dir', folder], 2, 'log (--log)'],
    [
      'a log that tells nothing',
      (log, folder) => ['--log', log, '--state-dir', folder],
      1,
      'no line tells',
    ],
    [
      'a folder that can not be',
      (log) => ['--log', log, '--state-dir', `${log}/x`],
      2,
      'state-dir (--state-dir)',
    ],
    [
      'an option of another command',
      (log, folder) => ['--log', log, '--state-dir', folder, '--port', '1'],
      2,
      '--port',
    ],
  ])('train with %s', async (_what, argsOf, code, message) => {
    const log = freshPath('log');
    writeFileSync(log, '{"v":1,"type":"settled"}\n');
    const ended = await kvgate(['train', ...argsOf(log, freshPath('state'))]);
    expect(ended).toMatchObject({ code, out: '', err: expect.stringContaining(message) });
  });
});

/** Runs the built command line to its end. */
function kvgate(args: readonly string[]) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    const child = spawn(process.execPath, ['dist/proxy/cli.js', ...args], {
      env: { PATH: process.env.PATH },
    });
    const [out, err]: [string[], string[]] = [[], []];
    child.stdout.on('data', (chunk) => void out.push(String(chunk)));
    child.stderr.on('data', (chunk) => void err.push(String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out: out.join(''), err: err.join('') }));
  });
}
