/** kvgate as a process of its own, as it was built into dist/. */
import { spawn } from 'node:child_process';

export interface KvgateProcess {
  /** Resolves with where it listens; rejects when it ends before it listens. */
  readonly listening: Promise<string>;
  /** Resolves with the exit code; null when a signal killed it. */
  readonly exited: Promise<number | null>;
  out(): string;
  err(): string;
  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void;
}

/** Starts it on a free port, with nothing of this environment but PATH. */
export function startKvgate(args: readonly string[]): KvgateProcess {
  const child = spawn(process.execPath, ['dist/proxy/cli.js', ...args], {
    env: { PATH: process.env.PATH },
  });
  let out = '';
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const listening = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += String(chunk);
      const url = /^kvgate \S+ on (http:\S+) /m.exec(out)?.[1];
      if (url !== undefined) resolve(url);
    });
    exited.then((code) => reject(new Error(`kvgate ended with ${code}: ${err}`)));
  });
  // Only those who wait for it want to hear of it.
  listening.catch(() => {});
  return {
    listening,
    exited,
    out: () => out,
    err: () => err,
    signal: (name) => void child.kill(name),
  };
}
