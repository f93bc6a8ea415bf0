/** Who listens at a local port, and what it has started, as /proc tells. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { commandLineBehind, processesBehind } from '../../proxy/http/listening-process.ts';
import { eventually } from '../support/eventually.ts';

const children: ChildProcess[] = [];
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  // Not SIGKILL: it takes its worker with it.
  for (const child of children.splice(0)) child.kill('SIGTERM');
});

/** A server in a process of its own that has started a worker; both names hold what /proc must not trip over. */
async function startServer() {
  const code = `
    const { spawn } = require('node:child_process');
    process.title = 'srv ) 1 (x';
    const worker = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    process.on('exit', () => worker.kill('SIGKILL'));
    process.on('SIGTERM', () => process.exit());
    const server = require('node:http').createServer().listen(0, '127.0.0.1', () => {
      console.log(JSON.stringify({ port: server.address().port, worker: worker.pid }));
    });`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const line = await new Promise<string>((resolve) =>
    child.stdout.setEncoding('utf8').once('data', resolve),
  );
  const { port, worker } = JSON.parse(line) as { port: number; worker: number };
  return { child, port, worker };
}

test('the listener and its worker, and nobody else', async () => {
  const { child, port, worker } = await startServer();
  const pids = await processesBehind(`http://127.0.0.1:${port}`);
  expect([...(pids ?? [])].sort()).toEqual([child.pid, worker].sort());
  child.kill('SIGTERM');
  await eventually(async () =>
    expect(await processesBehind(`http://127.0.0.1:${port}`)).toBeNull(),
  );
});

test('this process, which has started others', async () => {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { child } = await startServer();
  const pids = await processesBehind(`http://localhost:${port}`);
  expect(pids).toContain(process.pid);
  expect(pids).toContain(child.pid);
  const arguments_ = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
  expect(await commandLineBehind(`http://localhost:${port}`)).toEqual(arguments_);
});

test.each(['http://192.0.2.1:8000', 'http://example.test', 'http://127.0.0.1:1'])(
  '%s: nobody can be seen',
  async (url) => {
    expect(await processesBehind(url)).toBeNull();
    expect(await commandLineBehind(url)).toBeNull();
  },
);
