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

let GAP=40;
const REQUESTS = 60;
const SLOTS: SimulatedOptions = {
  personality: 'slots',
  ...{ slots: 4, unified: true, contextTokens: 4_096, speed: 4 },
  answerTokens: { min: 60, max: 250 },
};

/** Sends streams faster than they can be served, through a gate that logs. @returns the log's path */
async function logged(options: SimulatedOptions, flags: Flags): Promise<string> {
  const log = join(folder, `${randomUUID()}.ndjson`);
  const { url, gate } = await servers.start(options, {
    ...{ 'decision-log': log, 'queue-timeout': 2, 'queue-max': 12, ...flags },
  });
  const ask = async (index: number) => {
    const content = `question ${index} `.repeat(20 + ((index * 37) % 60));
    const body = chat({ messages: [{ role: 'user', content }], max_tokens: 300, stream: true });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
    await answer.text();
  };
  const asked: Promise<void>[] = [];
  for (let index = 0; index < REQUESTS; index += 1) {
    asked.push(ask(index));
    await new Promise((resolve) => setTimeout(resolve, GAP));
  }
  await Promise.all(asked);
  await eventually(() => expect(gate.leases()).toBe(0));
  await gate.stop();
  return log;
}

async function replayed(log: string, ...set: string[]): Promise<Replayed> {
  const result = await replay({ log: [log], set, json: false });
  if (!('control' in result)) throw new Error(JSON.stringify(result));
  return result;
}

describe('the log of a gate', () => {
  test.each([0,1,2])('x', async () => {
    for (const [gap, flags] of [[60,{}],[80,{}],[60,{'queue-max':3}],[50,{'queue-timeout':10,'queue-max':64}],[40,{'queue-timeout':10,'queue-max':64, 'admission-order': 'route,short-queue,queue'}]] as const) {
      GAP = gap;
      const log = await logged(SLOTS, flags);
      const r = await replayed(log, 'queue-max=0');
      console.log(JSON.stringify([gap, flags, r.reproduced, r.log, r.control]));
    }
  }, 60_000);
});
