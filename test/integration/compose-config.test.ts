/** Compose itself reads every profile: Debian's docker-compose, the strictest about what it knows. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const COMMAND = 'docker-compose';
const PROFILES = ['demo', 'llamacpp', 'vllm', 'large'];

describeCompose('docker-compose config', () => {
  test.each(PROFILES)('accepts profile %s', (profile) => {
    const { status, stderr } = compose(['--profile', profile, 'config', '--quiet']);
    expect([stderr, status]).toEqual(['', 0]);
  });

  test('needs no file that a fresh clone lacks', () => {
    const { stdout } = compose(['config']);
    expect(stdout).toMatch(/file: \S*deploy\/secrets\/admin-token/);
  });

  test('refuses what is wrong', () => {
    const { status } = compose(['--file', 'package.json', 'config', '--quiet']);
    expect(status).not.toBe(0);
  });
});

function compose(args: readonly string[]) {
  return spawnSync(COMMAND, args, { encoding: 'utf8', timeout: 20_000 });
}

/** Skipped with the reason where there is no docker-compose, except under CI: there that fails. */
function describeCompose(name: string, suite: () => void): void {
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (folders.some((folder) => existsSync(join(folder, COMMAND)))) {
    describe(name, suite);
    return;
  }
  const why = `${COMMAND} is not in PATH; on Debian: apt-get install docker-compose`;
  if (process.env.CI) {
    test(`${COMMAND} is there`, () => {
      throw new Error(why);
    });
    return;
  }
  const { skip: skipped } = describe;
  console.warn(`${name}: skipped: ${why}`);
  skipped(name, suite);
}
