import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { runKvgate } from '../support/run-kvgate.ts';
import { startStubBackend } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

test('--help is grouped and names every command', async () => {
  const { code, out } = await runKvgate(['--help']);
  expect(code).toBe(0);
  for (const text of [
    'serve',
    'demo',
    'check-config',
    'doctor',
    'train',
    'healthcheck',
    'completion',
  ]) {
    expect(out).toContain(`kvgate ${text}`);
  }
  for (const group of ['Server:', 'Backends:', 'Memory:', 'Admission:', 'Probe:', 'Telemetry:']) {
    expect(out).toContain(`\n${group}\n`);
  }
  expect(out).toMatch(/--gpu-memory-threshold .*\[default: 0\.85\]/s);
});

test('--version is the one of package.json', async () => {
  const { code, out } = await runKvgate(['--version']);
  const { version } = await import('../../package.json', { with: { type: 'json' } }).then(
    (module) => module.default,
  );
  expect([code, out]).toEqual([0, `${version}\n`]);
});

test('completion prints a script', async () => {
  const { code, out } = await runKvgate(['completion']);
  expect(code).toBe(0);
  expect(out).toContain('begin-kvgate-completions');
});

describe('usage errors end with 2 and say what to do', () => {
  const cases: [string, string[], string][] = [
    ['serve without a backend', ['serve'], 'pass --backend http://HOST:PORT'],
    ['so does no command at all', [], '`kvgate demo`'],
    ['an unknown flag', ['demo', '--prot', '1'], 'did you mean --port?'],
    ['an unknown command', ['srve'], 'unknown command srve; did you mean serve?'],
    ['a word too many', ['demo', 'now'], 'unknown command now'],
    ['a flag without its value', ['demo', '--port'], 'port'],
    ['a negated flag that is no boolean', ['demo', '--no-port'], 'must be a whole number'],
  ];
  test.each(cases)('%s', async (_name, args, message) => {
    const { code, out, err } = await runKvgate(args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });
});

describe('check-config', () => {
  test('prints what is in effect', async () => {
    const { code, out, err } = await runKvgate(['check-config', '--backend', 'http://h:1'], {
      KVGATE_QUEUE_TIMEOUT: '5',
    });
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/queue-timeout +5 s +\(KVGATE_QUEUE_TIMEOUT\)/);
  });

  test('accepts the example file', async () => {
    const { code, out } = await runKvgate([
      'check-config',
      '--config',
      'deploy/config.example.yaml',
    ]);
    expect(code).toBe(0);
    expect(out).toContain('deploy/config.example.yaml');
  });

  test('lists all problems at once', async () => {
    const config = files.write('bad.yaml', 'hysteresis: 2\n');
    const { code, out, err } = await runKvgate(
      ['check-config', '--config', config, '--port', 'x'],
      {
        KVGATE_ADAPTER: 'y',
      },
    );
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('4 problems in the configuration');
    expect(err).toContain(`hysteresis (${config}): `);
    expect(err).toContain('port (--port): ');
    expect(err).toContain('adapter (KVGATE_ADAPTER): ');
    expect(err).toContain('backend (default): ');
  });
});

describe('doctor', () => {
  // As a process of its own: what keeps one alive in a test would hide that nothing else does.
  test('a backend that is guarded is exit code 0', async () => {
    const backend = await startStubBackend();
    const ended = await runKvgate(['doctor', '--backend', backend.url]);
    await backend.stop();
    expect(ended).toMatchObject({ code: 0, out: expect.stringContaining('  Guarded.'), err: '' });
  });

  test('one that is not there is exit code 1', async () => {
    const backend = await startStubBackend();
    await backend.stop();
    const ended = await runKvgate(['doctor', '--backend', backend.url]);
    expect(ended).toMatchObject({ code: 1, out: expect.stringContaining('Not guarded') });
  });

  test('no backend is exit code 2', async () => {
    const { code, err } = await runKvgate(['doctor']);
    expect([code, err]).toEqual([2, expect.stringContaining('backend')]);
  });
});

describe('healthcheck', () => {
  test.each([
    [200, 0],
    [503, 1],
  ])('%d is exit code %d', async (status, code) => {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url ?? '');
      response.writeHead(status).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const ended = await runKvgate(['healthcheck', '--host', '0.0.0.0'], {
      KVGATE_PORT: String(port),
    });
    server.close();
    expect([ended.code, paths]).toEqual([code, ['/health']]);
  });

  test('nobody there is exit code 1', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const { code, err } = await runKvgate(['healthcheck', '--port', String(port)]);
    expect(code).toBe(1);
    expect(err).toContain('not healthy');
  });
});
