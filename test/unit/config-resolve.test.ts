import { afterAll, describe, expect, test } from '@jest/globals';
import { describeConfig } from '../../proxy/config/describe.ts';
import { type LoadInput, loadConfig } from '../../proxy/config/load.ts';
import { renderProblem } from '../../proxy/config/problem.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const BACKEND = ['http://127.0.0.1:8080'];

type Flags = LoadInput['flags'];

function load(flags: Flags, command: LoadInput['command'] = 'serve', env: LoadInput['env'] = {}) {
  return loadConfig({ command, flags, env });
}

function configOf(flags: Flags, command: LoadInput['command'] = 'serve') {
  const loaded = load(flags, command);
  if (!loaded.ok) throw new Error(loaded.problems.map(renderProblem).join('\n'));
  return loaded;
}

/** Problems as an operator reads them. */
function problemsOf(flags: Flags, command: LoadInput['command'] = 'serve'): string[] {
  const loaded = load(flags, command);
  return loaded.ok ? [] : loaded.problems.map(renderProblem);
}

describe('defaults', () => {
  const { config, demo } = configOf({ backend: BACKEND });

  test('are those of the design, in bytes and milliseconds', () => {
    expect(demo).toBeNull();
    expect(config.server).toMatchObject({
      host: '127.0.0.1',
      port: 9797,
      maxBodyBytes: 67_108_864,
      maxBufferedBytes: 536_870_912,
      drainTimeoutMs: 30_000,
    });
    expect(config.backends).toEqual([
      { name: 'default-1', url: 'http://127.0.0.1:8080', pool: 'default' },
    ]);
    expect(config.memory).toEqual({
      gpuMemoryThreshold: 0.85,
      safetyReserveBytes: 2_147_483_648,
      maxIdleKvBytes: 21_474_836_480,
      sessionIdleMs: 300_000,
      pressureBasis: 'budget',
      pressure: { medium: 0.7, high: 0.8, critical: 0.85, emergency: 0.9 },
      poolPressure: { medium: 1, high: 1.05, critical: 1.1, emergency: 1.2 },
      hysteresis: 0.03,
      minDwellMs: 5000,
    });
    expect(config.policy).toEqual({
      largeRequestTokens: 8000,
      largeRequestKvBytes: 6_291_456_000,
      sessionKvLimitBytes: 536_870_912,
      shortWaitMs: 2000,
      queueTimeoutMs: 30_000,
      queueMax: 64,
      queueTargetMs: 8000,
      shrinkFloor: 0.5,
      minOutputTokens: 256,
      degrade: 'seed',
      admissionOrder: ['route', 'short-queue', 'shrink', 'queue'],
      reserve: 'chance',
      overrunProbability: null,
    });
  });

  test('are frozen all the way down', () => {
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(config)).toBe(true);
  });
});

test('tokens of an image and a recording are the operator’s to tell, or are not known', () => {
  const { config } = configOf({ backend: BACKEND, 'image-tokens': '1200' });
  expect(config.engine).toMatchObject({ imageTokens: 1200, audioTokens: null });
  expect(problemsOf({ backend: BACKEND, 'audio-tokens': '0' })).toEqual([
    expect.stringContaining('audio-tokens'),
  ]);
});

describe('backends', () => {
  test('names, pools and paths', () => {
    const { config } = configOf({
      backend: ['a=http://h1:1/', 'https://h2/prefix/'],
      'backend-large': ['http://h3:1'],
    });
    expect(config.backends).toEqual([
      { name: 'a', url: 'http://h1:1', pool: 'default' },
      { name: 'default-2', url: 'https://h2/prefix', pool: 'default' },
      { name: 'large-1', url: 'http://h3:1', pool: 'large' },
    ]);
  });

  test.each([
    ['localhost:8080', 'must begin with http:// or https://'],
    ['nonsense', 'is not a URL'],
    ['ftp://h', 'must begin with http:// or https://'],
    ['http://u:hunter2@h', 'the URL of h holds credentials; use backend-api-key-file'],
    ['http://h/?key=hunter2', 'must have no query'],
    ['http://h/#x', 'must have no query and no fragment'],
    ['http://h/v1/', 'leave out /v1'],
    ['a b=http://h', 'the name "a b" must be letters'],
    ['=http://h', 'the name "" must be letters'],
  ])('%s is refused', (backend, message) => {
    const problems = problemsOf({ backend: [backend] });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^backend \(--backend\): /);
    expect(problems[0]).toContain(message);
    expect(problems[0]).not.toContain('hunter2');
  });

  test('a kv-dtype is bytes for each element', () => {
    const bytesOf = (dtype: string) =>
      configOf({ backend: BACKEND, 'kv-dtype': dtype }).config.engine.kvBytesPerElement;
    expect(bytesOf('f32')).toBe(4);
    expect(bytesOf('fp8')).toBe(1);
    expect(bytesOf('q8_0')).toBe(1.0625);
    expect(bytesOf('q4_0')).toBe(0.5625);
    expect(configOf({ backend: BACKEND }).config.engine.kvBytesPerElement).toBeNull();
  });
});

describe('rules between options', () => {
  const cases: [Flags, string][] = [
    [{ 'pressure-low': '0.8' }, 'pressure-low (--pressure-low): must be below pressure-medium'],
    [{ 'pressure-high': '0.8' }, 'pressure-high (--pressure-high): must be above pressure-medium'],
    [{ 'pool-pressure-high': '1' }, 'pool-pressure-high (--pool-pressure-high): must be above'],
    [{ 'admission-order': 'route,route' }, 'admission-order (--admission-order): names a step'],
    [{ hysteresis: '0.4', 'pressure-low': '0.3' }, 'hysteresis (--hysteresis): must be below'],
    [
      { reserve: 'worst-case', 'overrun-probability': 0.1 },
      'overrun-probability (--overrun-probability): is for reserve chance',
    ],
    [
      { 'max-priority': 'high', 'api-key-file': files.write('classless', 'key-1\n') },
      'max-priority (--max-priority): is for callers without API keys',
    ],
    [{ 'max-body-mb': '600' }, 'max-buffered-mb (default): must hold one body of max-body-mb'],
    [{ 'tls-cert-file': '/none' }, 'tls-cert-file (--tls-cert-file): needs tls-key-file'],
    [{ 'tls-key-file': '/none' }, 'tls-key-file (--tls-key-file): needs tls-cert-file'],
    [{ 'admin-listen': '9798' }, 'admin-listen (--admin-listen): must be host:port'],
    [{ 'admin-listen': 'h:99999' }, 'admin-listen (--admin-listen): must be host:port'],
    [{ 'admin-listen': '0.0.0.0:9798' }, 'admin-listen (--admin-listen): 0.0.0.0 is not loopback'],
    [{ 'admin-listen': '[::]:9798' }, 'admin-listen (--admin-listen): :: is not loopback'],
    [{ 'admin-listen': '127.0.0.1:9797' }, 'admin-listen (--admin-listen): must differ from host'],
    [{ backend: ['a=http://h', 'a=http://i'] }, 'backend (--backend): two backends are named a'],
    [{ backend: ['http://h', 'http://h/'] }, 'backend (--backend): http://h is given twice'],
    [{ 'kv-layout': 'split', adapter: 'vllm' }, 'kv-layout (--kv-layout): is for llama.cpp'],
    [{ 'simulated-seed': '2' }, 'simulated-seed (--simulated-seed): only the simulated server'],
    [{ 'stale-after-ms': '900' }, 'stale-after-ms (--stale-after-ms): must be at least twice'],
    [{ 'dcgm-url': 'exporter:9400' }, 'dcgm-url (--dcgm-url): must be a URL like http://'],
    [{ 'dcgm-url': '/metrics' }, 'dcgm-url (--dcgm-url): must be a URL like http://'],
    [{ 'dcgm-url': 'http://u:p@h/' }, 'dcgm-url (--dcgm-url): the URL of h holds credentials'],
    [
      { 'dcgm-url': 'http://h/metrics', 'gpu-source': 'nvml' },
      'dcgm-url (--dcgm-url): is for a DCGM exporter, but the gpu-source is nvml',
    ],
    [
      { 'pressure-basis': 'gpu', 'gpu-source': 'none' },
      'pressure-basis (--pressure-basis): gpu needs',
    ],
  ];
  test.each(cases)('%j', (flags, expected) => {
    expect(problemsOf({ backend: BACKEND, ...flags })).toContainEqual(
      expect.stringContaining(expected),
    );
  });

  test.each([['127.0.0.1:9798'], ['[::1]:9798'], ['localhost:9798'], ['127.9.9.9:9798']])(
    'admin-listen %s is loopback',
    (address) => {
      expect(problemsOf({ backend: BACKEND, 'admin-listen': address })).toEqual([]);
    },
  );

  test('a token opens admin-listen to other hosts', () => {
    const token = files.write('admin-token', 's3cret\n');
    const { config } = configOf({
      backend: BACKEND,
      'admin-listen': '0.0.0.0:9798',
      'admin-token-file': token,
    });
    expect(config.server.adminListen).toEqual({ host: '0.0.0.0', port: 9798 });
    expect(config.server.adminToken).toBe('s3cret');
  });

  test('all problems are listed at once, each with its own source', () => {
    const config = files.write('problems.yaml', 'port: -1\nhysteresis: 0.9\n');
    const loaded = load({ config, 'pressure-low': '0.95', bogus: '1' }, 'serve', {
      KVGATE_ADAPTER: 'x',
      KVGATE_ADMIN_TOKEN_FILE: '/nonexistent',
    });
    expect(loaded.ok).toBe(false);
    const found = loaded.ok ? [] : loaded.problems.map(({ field, source }) => [field, source]);
    expect(found).toEqual([
      ['bogus', '--bogus'],
      ['port', config],
      ['adapter', 'KVGATE_ADAPTER'],
      ['hysteresis', config],
      ['admin-token-file', 'KVGATE_ADMIN_TOKEN_FILE'],
      ['pressure-low', '--pressure-low'],
      ['backend', 'default'],
    ]);
  });
});

describe('files named by options', () => {
  const cases: [string, string, string][] = [
    ['admin-token-file', '', 'is empty'],
    ['admin-token-file', ' \n', 'is empty'],
    ['backend-api-key-file', 'two words', 'must hold one word of ASCII text'],
    ['api-key-file', '# only a comment\n', 'holds no key'],
    [
      'api-key-file',
      'key-1\nhunter2 hunter2\n',
      'line 2 must be one word of ASCII text, and perhaps high, normal or low',
    ],
    [
      'api-key-file',
      '# a\n\nk\u00e9y high\n',
      'line 3 must be one word of ASCII text, and perhaps high, normal or low',
    ],
    [
      'api-key-file',
      'key-1 low high\n',
      'line 1 must be one word of ASCII text, and perhaps high, normal or low',
    ],
    ['api-key-file', 'hunter2 high\nhunter2\n', 'line 2 gives a key of a line above another class'],
    ['model-config', 'model: llama', 'is neither JSON nor GGUF'],
    ['model-config', '', 'is neither JSON nor GGUF'],
    ['model-config', 'GGUF\u0003', '(version) is cut off: the file ends here'],
    ['model-config', 'GGUF\u0001\0\0\0', '(version) 1 is not supported, only 2 and 3'],
    ['model-config', '[1]', 'must be a JSON object'],
    ['admin-token-file', 'x'.repeat(70_000), 'is larger than 64 KiB'],
  ];
  test.each(cases)('%s holding %j', (option, text, message) => {
    const path = files.write('named', text);
    const problems = problemsOf({ backend: BACKEND, [option]: path });
    expect(problems).toEqual([
      `${option} (--${option}): ${path} ${message}`.concat(
        message.startsWith('is neither') ? "; a model's config.json or GGUF file is wanted" : '',
        message === 'must be a JSON object' ? ", as in a model's config.json" : '',
      ),
    ]);
  });

  test('are read', () => {
    const { config } = configOf({
      backend: BACKEND,
      'api-key-file': files.write(
        'keys',
        '# team a\nkey-1\n\n  key-2\nkey-1\nkey-3 high\r\nkey-4\tlow\n',
      ),
      'backend-api-key-file': files.write('backend-key', 'bk\n'),
      'model-config': files.write('config.json', '{"num_hidden_layers": 24}'),
    });
    expect(config.server.apiKeys).toEqual([
      { key: 'key-1', maxPriority: 'normal' },
      { key: 'key-2', maxPriority: 'normal' },
      { key: 'key-3', maxPriority: 'high' },
      { key: 'key-4', maxPriority: 'low' },
    ]);
    expect(config.engine.backendApiKey).toBe('bk');
    expect(config.engine.modelConfig).toMatchObject({ json: { num_hidden_layers: 24 } });
  });

  test('a certificate and a key that do not work together', () => {
    const pem = (kind: string) => `-----BEGIN ${kind}-----\nAAAA\n-----END ${kind}-----\n`;
    const problems = problemsOf({
      backend: BACKEND,
      'tls-cert-file': files.write('cert.pem', pem('CERTIFICATE')),
      'tls-key-file': files.write('key.pem', pem('PRIVATE KEY')),
    });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain('does not work with tls-cert-file');
  });
});

describe('demo', () => {
  test('simulates where no backend is given', () => {
    const { demo, config } = configOf({ 'simulated-engine': 'slots', attention: 'flash' }, 'demo');
    expect(config.backends).toEqual([]);
    expect(demo).toEqual({
      engine: 'slots',
      gpuBytes: 81_559 * 1024 * 1024,
      speed: 1,
      seed: 1,
      attention: 'flash',
    });
  });

  test('guards the given backend instead', () => {
    expect(configOf({ backend: BACKEND }, 'demo').demo).toBeNull();
    expect(problemsOf({ backend: BACKEND, 'simulated-speed': '2' }, 'demo')).toEqual([
      expect.stringContaining('simulated-speed (--simulated-speed): only the simulated server'),
    ]);
  });

  test('a large pool alone is a problem', () => {
    expect(problemsOf({ 'backend-large': BACKEND }, 'demo')).toEqual([
      'backend-large (--backend-large): needs a backend beside it for all other requests',
    ]);
  });
});

describe('describeConfig', () => {
  const { config } = configOf({
    backend: BACKEND,
    hysteresis: '0.05',
    'admin-token-file': files.write('described-token', 'hunter2'),
  });
  const lines = describeConfig(config);

  test('has every number with its unit, and where what is not a default came from', () => {
    const numbers = Object.entries(config.options)
      .filter(([name, { value }]) => typeof value === 'number' && !name.startsWith('simulated'))
      .map(([name]) => name);
    const described = lines.map((line) => line.trim().split(/\s+/)[0]);
    expect(described).toEqual(expect.arrayContaining(numbers));
    expect(lines).toContainEqual(expect.stringMatching(/mem-safety-reserve-mb +2048 MiB$/));
    expect(lines).toContainEqual(expect.stringMatching(/hysteresis +0\.05 +\(--hysteresis\)$/));
  });

  test('names the file of a secret and never the secret', () => {
    expect(lines.join('\n')).toContain('described-token');
    expect(lines.join('\n')).not.toContain('hunter2');
    expect(JSON.stringify(config.options)).not.toContain('hunter2');
  });
});
