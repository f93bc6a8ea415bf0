/** A DCGM exporter over HTTP, as far as it can go wrong. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { readPage } from '../../proxy/compose-gpu.ts';
import { DcgmSource } from '../../proxy/gpu/dcgm.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { dcgmPage } from '../support/dcgm-page.ts';
import { eventually } from '../support/eventually.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const MIB = 2 ** 20;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startSource(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const clock = new VirtualClock();
  const source = new DcgmSource({
    read: (signal) => readPage(`http://127.0.0.1:${port}/metrics`, signal),
    pollIntervalMs: 500,
    clock,
  });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  cleanups.push(() => source.stop());
  return { clock, samples, faults };
}

test('every poll reads the page anew', async () => {
  let usedMib = 1_000;
  const { clock, samples, faults } = await startSource((request, response) => {
    expect(request.url).toBe('/metrics');
    response.end(dcgmPage([{ gpu: 0, usedMib, freeMib: 80_000 - usedMib, reservedMib: 600 }]));
  });
  await eventually(() => expect(samples).toHaveLength(1));
  usedMib = 30_000;
  await eventually(() => expect(clock.nextTimerInMs).toBe(500));
  clock.advance(500);
  await eventually(() => expect(samples).toHaveLength(2));
  expect(samples.map(([gpu]) => [gpu?.usedBytes, gpu?.totalBytes])).toEqual([
    [1_000 * MIB, 80_600 * MIB],
    [30_000 * MIB, 80_600 * MIB],
  ]);
  expect(faults).toEqual([]);
});

test.each<[string, RequestListener, string]>([
  ['an error', (_, response) => void response.writeHead(503).end('no'), 'HTTP status 503'],
  [
    'a redirect',
    (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'could not be read',
  ],
  ['the page of something else', (_, response) => void response.end('up 1\n'), 'has no DCGM_FI'],
  ['a connection that breaks', (request) => void request.socket.destroy(), 'other side closed'],
  [
    'a page without an end',
    (_, response) => {
      const line = Buffer.alloc(64 * 1024, '# and so on\n');
      const more = () => {
        while (!response.destroyed && response.write(line)) {
          // As fast as it is read.
        }
      };
      response.on('drain', more);
      more();
    },
    'a page of more than 8388608 bytes',
  ],
])('%s is a fault', async (_what, listener, why) => {
  const { samples, faults } = await startSource(listener);
  await eventually(() => expect(faults).toHaveLength(1));
  expect(faults[0]).toContain("the DCGM exporter's GPUs could not be read");
  expect(faults[0]).toContain(why);
  expect(samples).toEqual([]);
});

test('an exporter that does not answer is given up after 5 s, and its connection closed', async () => {
  let isClosed = false;
  let asked = false;
  const { clock, faults } = await startSource((request) => {
    asked = true;
    request.socket.on('close', () => {
      isClosed = true;
    });
  });
  await eventually(() => expect(asked).toBe(true));
  clock.advance(5_000);
  await eventually(() => expect(isClosed).toBe(true));
  expect(faults).toEqual([expect.stringContaining('no answer within 5000 ms')]);
});
