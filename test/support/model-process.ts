/** A model server run as a child process: its port, what it prints, and when it answers. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was bound');
  return address.port;
}

/** What the child printed last, both streams together: at most `maxChars`. */
export function tailOf(child: ChildProcess, maxChars: number): () => string {
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-maxChars);
    });
  }
  return () => tail;
}

/** Whether `/health` answers with `status` before the child ends or `timeoutMs` are over. */
export async function becomesReady(
  url: string,
  child: ChildProcess,
  status: number,
  timeoutMs: number,
): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (performance.now() < deadlineMs && child.exitCode === null && child.signalCode === null) {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(`${url}/health`, { signal });
      await response.arrayBuffer();
      if (response.status === status) return true;
    } catch {
      // Refused until it listens; the loop's deadline is the bound.
    }
    await delay(POLL_MS);
  }
  return false;
}
