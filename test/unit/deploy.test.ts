/** docker-compose.yml and deploy/Dockerfile name only what exists, and keep to what they promise. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { loadConfig } from '../../proxy/config/load.ts';
import { isOptionName } from '../../proxy/config/options.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly profiles: readonly string[];
  readonly command: readonly string[];
  readonly ports?: readonly string[];
  readonly secrets?: readonly string[];
  readonly depends_on?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[]; readonly start_period: string };
  readonly stop_grace_period?: string;
  readonly deploy?: {
    readonly resources: { readonly reservations: { readonly devices: readonly Device[] } };
  };
}

interface Device {
  readonly driver: string;
  readonly device_ids: readonly string[];
  readonly capabilities: readonly string[];
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as ComposeFile;
const services = Object.entries(compose.services);
const gates = services.filter(([name]) => name.startsWith('kvgate'));
const engines = services.filter(([name]) => !name.startsWith('kvgate'));
const SECRET_PATH = '/run/secrets/admin-token';

describe('docker-compose.yml', () => {
  test('has the four profiles, each with one kvgate', () => {
    expect(gates.flatMap(([, { profiles }]) => profiles).sort()).toEqual([
      'demo',
      'large',
      'llamacpp',
      'vllm',
    ]);
  });

  test.each(services)('%s has a pinned image and a healthcheck', (_name, service) => {
    expect(service.image).toMatch(/:[^:/]*\d[^:/]*$/);
    expect(service.healthcheck.test[0]).toBe('CMD');
  });

  test.each(gates)('%s starts with what it is given', (_name, { command, environment = {} }) => {
    const [word, ...flags] = command;
    const given = flagsOf(flags);
    expect(Object.keys(given).filter((flag) => !isOptionName(flag))).toEqual([]);
    expect(given['admin-token-file']).toBe(SECRET_PATH);
    const token = files.write('token', 'a-token\n');
    const loaded = loadConfig({
      command: word === 'demo' ? 'demo' : 'serve',
      flags: { ...given, 'admin-token-file': token },
      env: environment,
    });
    expect(loaded).toMatchObject({ ok: true });
  });

  test.each(gates)('%s is built here, for loopback only, with the secret', (_name, gate) => {
    expect(gate.build).toEqual({ context: '.', dockerfile: 'deploy/Dockerfile' });
    expect(gate.ports).toEqual(['127.0.0.1:9797:9797']);
    expect(gate.secrets).toEqual(Object.keys(compose.secrets));
    expect(SECRET_PATH.endsWith(`/${gate.secrets?.[0]}`)).toBe(true);
    expect(gate.healthcheck.test).toEqual(['CMD', 'kvgate', 'healthcheck']);
    expect(Number.parseInt(gate.stop_grace_period ?? '', 10)).toBeGreaterThan(drainSeconds());
  });

  test.each(gates)('%s guards the engines of its profile, and waits for them', (_name, gate) => {
    const given = flagsOf(gate.command.slice(1));
    const guarded = [given.backend ?? [], given['backend-large'] ?? []].flat();
    const [profile] = gate.profiles;
    const beside = engines.filter(([, { profiles }]) => profiles.includes(profile ?? ''));
    const urls = beside.map(([name, { command }]) => `${name}=http://${name}:${portOf(command)}`);
    expect(guarded).toEqual(urls);
    expect(gate.depends_on ?? []).toEqual(beside.map(([name]) => name));
  });

  test.each(gates)(
    '%s sees the GPUs of its engines in their order, and only sees',
    (_name, gate) => {
      const guarded = (gate.depends_on ?? []).flatMap((name) => compose.services[name] ?? []);
      const used = guarded.flatMap((engine) => deviceOf(engine)?.device_ids ?? []);
      const seen = deviceOf(gate);
      expect(seen?.device_ids ?? []).toEqual(used);
      if (seen === null) return;
      // Without `utility` there is no nvidia-smi in the container.
      expect(seen).toMatchObject({ driver: 'nvidia', capabilities: ['gpu', 'utility'] });
    },
  );

  test.each(engines)('%s has GPUs, time to load, and no port of its own', (_name, engine) => {
    // Naming `utility` without `compute` would leave CUDA out.
    const capabilities = ['gpu', 'compute', 'utility'];
    expect(deviceOf(engine)).toMatchObject({ driver: 'nvidia', capabilities });
    expect(deviceOf(engine)?.device_ids).toHaveLength(
      Number(flagsOf(engine.command)['tensor-parallel-size'] ?? 1),
    );
    expect(Number.parseInt(engine.healthcheck.start_period, 10)).toBeGreaterThanOrEqual(10);
    expect(engine.healthcheck.start_period).toMatch(/m$/);
    expect(engine.healthcheck.test.join(' ')).toContain(`:${portOf(engine.command)}/health`);
    expect(engine.ports).toBeUndefined();
  });

  test('the large pool has four GPUs, and kvgate knows', () => {
    const gate = flagsOf(compose.services['kvgate-large']?.command.slice(1) ?? []);
    const engine = flagsOf(compose.services['vllm-large']?.command ?? []);
    expect(engine['tensor-parallel-size']).toBe('4');
    expect(gate['large-tensor-parallel']).toBe('4');
  });

  test('kvgate is told what it cannot see of llama-server', () => {
    const engine = compose.services.llamacpp?.command ?? [];
    const gate = flagsOf(compose.services['kvgate-llamacpp']?.command.slice(1) ?? []);
    expect(engine).toEqual(expect.arrayContaining(['--metrics', '--slots']));
    expect(gate['kv-layout']).toBe(engine.includes('--kv-unified') ? 'unified' : 'split');
    expect(gate['kv-dtype']).toBe(flagsOf(engine)['cache-type-k']);
    expect(gate['kv-dtype']).toBe(flagsOf(engine)['cache-type-v']);
  });

  test('the token is nowhere in the repository, and how to make one is', () => {
    const { file } = compose.secrets['admin-token'] ?? { file: '' };
    expect(file).toBe('deploy/secrets/admin-token');
    expect(readFileSync('deploy/secrets/.gitignore', 'utf8')).toMatch(/^\*$/m);
    expect(readFileSync('deploy/secrets/README.md', 'utf8')).toContain(`> ${file}`);
  });

  test('its comment names the profiles there are', () => {
    const [comment = ''] = readFileSync('docker-compose.yml', 'utf8').split('\n\nx-kvgate');
    const named = [...comment.matchAll(/^# {3}([a-z]+) {2,}/gm)].map(([, profile]) => profile);
    expect(named.sort()).toEqual(['demo', 'large', 'llamacpp', 'vllm']);
  });
});

describe('deploy/Dockerfile', () => {
  const instructions = readFileSync('deploy/Dockerfile', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [word = '', ...rest] = line.split(' ');
      return { word, rest: rest.join(' ') };
    });
  const all = (word: string) =>
    instructions.filter((each) => each.word === word).map(({ rest }) => rest);

  test('is two stages on a pinned base with glibc', () => {
    const bases = all('FROM').map((rest) => rest.split(' ')[0]);
    expect(bases).toEqual(['node:24-bookworm-slim', 'node:24-bookworm-slim']);
  });

  test('copies what exists and the build may see', () => {
    const sources = all('COPY')
      .filter((rest) => !rest.startsWith('--from='))
      .flatMap((rest) => rest.split(' ').slice(0, -1));
    expect(sources.filter((path) => !existsSync(path))).toEqual([]);
    const admitted = readFileSync('.dockerignore', 'utf8').split('\n');
    expect(admitted).toContain('*');
    expect(sources.filter((path) => !admitted.includes(`!${path}`))).toEqual([]);
  });

  test('runs kvgate as a user that is not root, and asks after its health', () => {
    expect(all('USER')).toEqual(['1000:1000']);
    expect(all('ENTRYPOINT')).toEqual(['["kvgate"]']);
    expect(all('CMD')).toEqual(['["serve"]']);
    expect(all('HEALTHCHECK')).toEqual([
      expect.stringMatching(/ CMD \["kvgate", "healthcheck"\]$/),
    ]);
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: { kvgate: string } };
    expect(all('RUN').join('\n')).toContain(`/opt/kvgate/${bin.kvgate} /usr/local/bin/kvgate`);
  });

  test('sets only variables that kvgate knows', () => {
    const names = all('ENV').flatMap((rest) => rest.split(' ').map((pair) => pair.split('=')[0]));
    const options = names
      .filter((name) => name?.startsWith('KVGATE_'))
      .map((name) => name?.slice('KVGATE_'.length).toLowerCase().replaceAll('_', '-') ?? '');
    expect(options.filter((name) => !isOptionName(name))).toEqual([]);
    expect(options).toEqual(['host']);
  });
});

/** `--name value` pairs; a flag without a value is 'true', a repeated one keeps its last. */
function flagsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.flatMap((word, index) => {
      if (!word.startsWith('--')) return [];
      const next = words[index + 1];
      return [[word.slice(2), next === undefined || next.startsWith('--') ? 'true' : next]];
    }),
  );
}

function portOf(command: readonly string[]): string {
  return flagsOf(command).port ?? '';
}

function deviceOf(service: Service): Device | null {
  return service.deploy?.resources.reservations.devices[0] ?? null;
}

function drainSeconds(): number {
  const loaded = loadConfig({ command: 'demo', flags: {}, env: {} });
  return loaded.ok ? loaded.config.server.drainTimeoutMs / 1000 : Number.NaN;
}
