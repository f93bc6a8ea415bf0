import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { NvidiaSmiSource } from '../../proxy/gpu/nvidia-smi.ts';
import { SMI_QUERY_FIELDS } from '../../proxy/gpu/nvidia-smi-parser.ts';
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import { eventually } from '../support/eventually.ts';
import { type FakeRun, gpuLine, installFakeNvidiaSmi } from '../support/fake-nvidia-smi.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// The child is a real process that prints in real time; the source's own waiting
// (watchdog, grace, backoff) is on a clock that stands still until a test moves it.

const MIB = 1024 * 1024;
const POLL_INTERVAL_MS = 20;
const DRIVER_ERROR = 'NVIDIA-SMI has failed because it could not communicate with the driver.';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function startSource(...runs: readonly FakeRun[]) {
  const fake = installFakeNvidiaSmi(runs);
  cleanups.push(() => fake.remove());
  return { fake, ...startCommand(fake.command) };
}

function startCommand(command: string) {
  const clock = new VirtualClock();
  const source = new NvidiaSmiSource({ command, pollIntervalMs: POLL_INTERVAL_MS, clock });
  const samples: (readonly GpuReading[])[] = [];
  const faults: string[] = [];
  source.start({ sample: (gpus) => samples.push(gpus), fault: (message) => faults.push(message) });
  const stop = async () => {
    const stopped = source.stop();
    clock.advance(2_000);
    await stopped;
  };
  cleanups.push(stop);
  return { clock, source, samples, faults, stop };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function usedMib(sample: readonly GpuReading[] | undefined): readonly (number | null)[] {
  return sample?.map(({ usedBytes }) => (usedBytes === null ? null : usedBytes / MIB)) ?? [];
}

describe('reading', () => {
  test('one child gives a sample for each round, with the values of that round', async () => {
    const { fake, samples, faults } = startSource({
      stdout: [1, 2, 3, 4].map((round) => gpuLine(0, round) + gpuLine(1, round * 10)),
      atEnd: 'hang',
    });
    await eventually(() => expect(samples).toHaveLength(4));
    expect(samples.map(usedMib)).toEqual([
      [1, 10],
      [2, 20],
      [3, 30],
      [4, 40],
    ]);
    expect(faults).toEqual([]);
    expect(fake.starts()).toEqual([
      {
        pid: expect.any(Number),
        args: [
          `--query-gpu=${SMI_QUERY_FIELDS.join(',')}`,
          '--format=csv,noheader,nounits',
          '-lms',
          String(POLL_INTERVAL_MS),
        ],
        beside: [],
      },
    ]);
  });

  test('the first round of a single GPU does not wait for the second', async () => {
    const { clock, samples } = startSource({ stdout: [gpuLine(0, 5)], atEnd: 'hang' });
    await eventually(() => {
      clock.advance(POLL_INTERVAL_MS / 2);
      expect(samples.map(usedMib)).toEqual([[5]]);
    });
  });

  test('a line may arrive in pieces', async () => {
    const line = gpuLine(0, 1234);
    const { samples } = startSource({
      stdout: [line.slice(0, 40), line.slice(40, -4), `${line.slice(-4)}${line}`],
      atEnd: 'repeat',
    });
    await eventually(() => expect(usedMib(samples[0])).toEqual([1234]));
  });

  test.each([
    { kind: 'foreign', noise: 'GPU 1 is lost', told: 'not a line about a GPU: "GPU 1 is lost"' },
    {
      kind: 'endless',
      noise: 'x'.repeat(100_000),
      told: `a line of more than 4096 characters: "${'x'.repeat(200)}"`,
    },
  ])(
    'an unreadable line beside good ones is told once: a line that is $kind',
    async ({ noise, told }) => {
      const { fake, samples, faults } = startSource({
        stdout: [`\n${noise}\n${gpuLine(0, 5)}`],
        atEnd: 'repeat',
      });
      await eventually(() => expect(samples.length).toBeGreaterThan(5));
      expect(samples.map(usedMib)).toEqual(samples.map(() => [5]));
      expect(faults).toEqual([`${fake.command} printed ${told}`]);
    },
  );
});

describe('a child that ends', () => {
  test('is told with its exit code, its meaning and its last words', async () => {
    const { fake, faults } = startSource({
      stdout: [DRIVER_ERROR],
      stderr: 'check dmesg\n',
      atEnd: { exit: 9 },
    });
    await eventually(() => expect(faults).toHaveLength(1));
    expect(faults[0]).toBe(
      `${fake.command} exited with code 9 (the NVIDIA driver is not loaded): check dmesg` +
        `; it printed not a line about a GPU: "${DRIVER_ERROR}"`,
    );
  });

  test('is started again after 1, 2, 4, ... 30 s, never earlier and never twice', async () => {
    const { clock, fake, faults } = startSource({ stdout: [], atEnd: { exit: 255 } });
    const delaysMs = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    for (const [restarts, delayMs] of delaysMs.entries()) {
      await eventually(() => expect(faults).toHaveLength(restarts + 1));
      expect(clock.pendingTimers).toBe(1);
      expect(clock.nextTimerInMs).toBe(delayMs);
      expect(fake.starts()).toHaveLength(restarts + 1);
      clock.advance(delayMs);
      await eventually(() => expect(fake.starts()).toHaveLength(restarts + 2));
    }
    expect(fake.starts().flatMap(({ beside }) => beside)).toEqual([]);
  });

  test('a good round makes the next wait short again', async () => {
    const { clock, fake, faults, samples } = startSource(
      { stdout: [], atEnd: { exit: 255 } },
      { stdout: [], atEnd: { exit: 255 } },
      { stdout: [gpuLine(0, 1), gpuLine(0, 2)], atEnd: { exit: 15 } },
      { stdout: [], atEnd: 'hang' },
    );
    for (const [restarts, delayMs] of [1_000, 2_000, 1_000].entries()) {
      await eventually(() => expect(faults).toHaveLength(restarts + 1));
      clock.advance(delayMs);
      await eventually(() => expect(fake.starts()).toHaveLength(restarts + 2));
    }
    expect(samples.map(usedMib)).toEqual([[2]]);
  });
});

describe('a child that cannot be started', () => {
  test('a missing executable is told, and tried again', async () => {
    const { clock, faults } = startCommand('/nonexistent/nvidia-smi');
    await eventually(() => expect(faults).toEqual(['/nonexistent/nvidia-smi was not found']));
    clock.advance(1_000);
    await eventually(() => expect(faults).toHaveLength(2));
  });

  test('a file that is not executable is told', async () => {
    const fake = installFakeNvidiaSmi([]);
    cleanups.push(() => fake.remove());
    const command = join(fake.folder, 'plain-file');
    writeFileSync(command, '');
    chmodSync(command, 0o644);
    const { faults } = startCommand(command);
    await eventually(() => expect(faults).toEqual([`${command} may not be executed`]));
  });

  test('a command that the system refuses at once is told', async () => {
    const { faults } = startCommand('nvidia\0smi');
    await eventually(() => expect(faults).toHaveLength(1));
    expect(faults[0]).toContain('could not be started');
  });
});

describe('a child that hangs', () => {
  const hanging: FakeRun = { stdout: [`${DRIVER_ERROR}\n`], atEnd: 'hang' };

  test('is ended after 10 s without a reading, and replaced a second later', async () => {
    const { clock, fake, faults } = startSource(hanging);
    await eventually(() => expect(fake.starts()).toHaveLength(1));
    clock.advance(9_999);
    expect(faults).toEqual([]);
    clock.advance(1);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain('printed no reading for 10000 ms and is restarted');

    await eventually(() => expect(clock.nextTimerInMs).toBe(1_000));
    clock.advance(1_000);
    await eventually(() => expect(fake.starts()).toHaveLength(2));
    expect(fake.starts()[1]?.beside).toEqual([]);
    expect(faults).toHaveLength(1);
  });

  test('no other is started while it lives, however long that is', async () => {
    const { clock, fake, faults } = startSource({ ...hanging, ignoreSigterm: true });
    await eventually(() => expect(fake.starts()).toHaveLength(1));
    clock.advance(10_000);
    expect(faults).toHaveLength(1);
    clock.advance(1_999);
    const [first] = fake.starts();
    expect(isRunning(first?.pid ?? 0)).toBe(true);
    expect(clock.pendingTimers).toBe(1);

    // SIGKILL. Its end cannot have been seen yet, so no wait for a restart may have begun.
    clock.advance(1);
    clock.advance(60_000);
    expect(clock.pendingTimers).toBe(0);
    await eventually(() => expect(clock.nextTimerInMs).toBe(1_000));
    expect(fake.starts()).toHaveLength(1);
    clock.advance(1_000);
    await eventually(() => expect(fake.starts()).toHaveLength(2));
    expect(fake.starts()[1]?.beside).toEqual([]);
  });
});

describe('stop', () => {
  test('ends the child; no event and no timer is left', async () => {
    const { clock, fake, source, samples, faults } = startSource({
      stdout: [gpuLine(0, 1)],
      atEnd: 'repeat',
    });
    await eventually(() => expect(samples.length).toBeGreaterThan(1));
    await source.stop();
    const seen = samples.length;
    expect(fake.starts().map(({ pid }) => isRunning(pid))).toEqual([false]);
    expect(clock.pendingTimers).toBe(0);
    clock.advance(60_000);
    expect({ seen: samples.length, faults }).toEqual({ seen, faults: [] });
  });

  test('forces a child that ignores SIGTERM after 2 s', async () => {
    const { clock, fake, source, samples } = startSource({
      stdout: [gpuLine(0, 1)],
      atEnd: 'repeat',
      ignoreSigterm: true,
    });
    await eventually(() => expect(samples.length).toBeGreaterThan(1));
    const stopped = source.stop();
    clock.advance(2_000);
    await stopped;
    expect(fake.starts().map(({ pid }) => isRunning(pid))).toEqual([false]);
  });

  test('while it waits to start again: nothing is started any more', async () => {
    const { clock, fake, source, faults } = startSource({ stdout: [], atEnd: { exit: 9 } });
    await eventually(() => expect(faults).toHaveLength(1));
    await source.stop();
    expect(clock.pendingTimers).toBe(0);
    expect(fake.starts()).toHaveLength(1);
  });
});
