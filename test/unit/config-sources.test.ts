import { afterAll, describe, expect, test } from '@jest/globals';
import { loadValues } from '../../proxy/config/load.ts';
import { envName } from '../../proxy/config/option.ts';
import { OPTION_NAMES, OPTIONS, type OptionName } from '../../proxy/config/options.ts';
import { suggest } from '../../proxy/config/suggest.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

describe('precedence', () => {
  const config = files.write('precedence.yaml', 'queue-max: 3\n');
  const cases: [string, Record<string, unknown>, Record<string, string>, number, string][] = [
    ['the default', {}, {}, 64, 'default'],
    ['the file over it', { config }, {}, 3, config],
    ['the environment over that', { config }, { KVGATE_QUEUE_MAX: '2' }, 2, 'KVGATE_QUEUE_MAX'],
    [
      'the flag over all',
      { config, 'queue-max': '1' },
      { KVGATE_QUEUE_MAX: '2' },
      1,
      '--queue-max',
    ],
    ['an empty variable is unset', { config }, { KVGATE_QUEUE_MAX: '' }, 3, config],
    ['a file named by a variable', {}, { KVGATE_CONFIG: config }, 3, config],
  ];
  test.each(cases)('%s', (_name, flags, env, value, source) => {
    const loaded = loadValues(flags, env);
    expect(loaded.problems).toEqual([]);
    expect(loaded.values['queue-max']).toBe(value);
    expect(loaded.raw['queue-max'].source).toBe(source);
  });

  test('a list of a stronger source replaces that of a weaker one', () => {
    const list = files.write('list.yaml', 'backend: [http://a, http://b]\n');
    expect(loadValues({ config: list }, {}).values.backend).toEqual(['http://a', 'http://b']);
    const { values } = loadValues({ config: list, backend: ['http://c'] }, {});
    expect(values.backend).toEqual(['http://c']);
  });
});

describe('one value, three spellings', () => {
  const cases: [OptionName, string, string, unknown][] = [
    ['hysteresis', '.05', '0.05', 0.05],
    ['port', '8080', '8080', 8080],
    ['response-metadata', 'true', 'true', true],
    ['adapter', 'vllm', 'vllm', 'vllm'],
    [
      'admission-order',
      'shrink,route, queue',
      '[shrink, route, queue]',
      ['shrink', 'route', 'queue'],
    ],
    ['gpu-ids', '0,1', '[0, 1]', ['0', '1']],
    ['admission-order', 'queue', 'queue', ['queue']],
  ];
  test.each(cases)('%s as %s', (name, text, yaml, value) => {
    const config = files.write(`${name}.yaml`, `${name}: ${yaml}\n`);
    expect(loadValues({ [name]: text }, {}).values[name]).toEqual(value);
    expect(loadValues({}, { [envName(name)]: text }).values[name]).toEqual(value);
    expect(loadValues({ config }, {}).values[name]).toEqual(value);
  });

  test('a bare boolean flag, and its negation', () => {
    expect(loadValues({ 'response-metadata': true }, {}).values['response-metadata']).toBe(true);
    expect(loadValues({ 'response-metadata': false }, {}).values['response-metadata']).toBe(false);
  });
});

describe('bad values name their field and their source', () => {
  const bad: [OptionName, string, string][] = [
    ['port', '70000', 'must be a whole number from 0 to 65535, not 70000'],
    ['port', '80.5', 'must be a whole number from 0 to 65535, not 80.5'],
    ['port', '0x50', 'must be a whole number from 0 to 65535, not "0x50"'],
    ['port', 'Infinity', 'must be a whole number from 0 to 65535, not "Infinity"'],
    ['gpu-memory-threshold', '0', 'must be a number from 0.01 to 1, not 0'],
    ['gpu-memory-threshold', '85%', 'must be a number from 0.01 to 1, not "85%"'],
    ['mem-safety-reserve-mb', '-1', 'must be a number of MiB from 0 to 16777216, not -1'],
    ['response-metadata', 'yes', 'must be true or false, not "yes"'],
    [
      'adapter',
      'vlm',
      'must be one of auto, llamacpp, vllm, sglang, tgi, ollama, transformers, gpt-oss-hf, openai, not "vlm"',
    ],
    [
      'admission-order',
      'route,hope',
      'must be a list of words from route, short-queue, shrink, queue, not ["route","hope"]',
    ],
  ];
  test.each(bad)('%s=%s', (name, text, message) => {
    const flag = loadValues({ [name]: text }, {});
    expect(flag.problems).toEqual([{ field: name, source: `--${name}`, message }]);
    const variable = loadValues({}, { [envName(name)]: text });
    expect(variable.problems).toEqual([{ field: name, source: envName(name), message }]);
    // The value gives way, so that whatever else is wrong can still be found.
    expect(flag.values[name]).toBe(OPTIONS[name].default);
  });

  test('in the file, the type must be right as well', () => {
    const config = files.write('types.yaml', 'port: "9797"\nadapter: [vllm]\nhost:\n');
    expect(loadValues({ config }, {}).problems).toEqual([
      { field: 'host', source: config, message: 'must be text, not null' },
      {
        field: 'port',
        source: config,
        message: 'must be a whole number from 0 to 65535, not "9797"',
      },
      {
        field: 'adapter',
        source: config,
        message:
          'must be one of auto, llamacpp, vllm, sglang, tgi, ollama, transformers, gpt-oss-hf, openai, not ["vllm"]',
      },
    ]);
  });

  test('a flag given twice', () => {
    const message = 'must be a whole number from 0 to 65535, not ["1","2"]';
    const { problems } = loadValues({ port: ['1', '2'] }, {});
    expect(problems).toEqual([{ field: 'port', source: '--port', message }]);
  });

  test('a password in a URL is not repeated', () => {
    const config = files.write('password.yaml', 'backend: [{a: "http://me:hunter2@host"}]\n');
    const { problems } = loadValues({ config }, {});
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });
});

describe('unknown words', () => {
  const config = files.write('unknown.yaml', 'quue-max: 1\nconfig: other.yaml\n');
  test('are refused in each source, with what was meant', () => {
    const { problems } = loadValues({ config, prot: '1', z: true }, { KVGATE_QUEUEMAX: '1' });
    expect(problems).toEqual([
      { field: 'prot', source: '--prot', message: 'unknown option; did you mean --port?' },
      { field: 'z', source: '-z', message: 'unknown option' },
      {
        field: 'KVGATE_QUEUEMAX',
        source: 'KVGATE_QUEUEMAX',
        message: 'unknown environment variable; did you mean KVGATE_QUEUE_MAX?',
      },
      { field: 'quue-max', source: config, message: 'unknown key; did you mean queue-max?' },
      { field: 'config', source: config, message: 'a file names no other file' },
    ]);
  });

  test('what Kubernetes adds for a Service named kvgate is none of ours', () => {
    const env = {
      KVGATE_SERVICE_HOST: '10.0.0.1',
      KVGATE_SERVICE_PORT: '9797',
      KVGATE_SERVICE_PORT_HTTP: '9797',
      KVGATE_PORT: 'tcp://10.0.0.1:9797',
      KVGATE_PORT_9797_TCP: 'tcp://10.0.0.1:9797',
      KVGATE_PORT_9797_TCP_ADDR: '10.0.0.1',
    };
    const { values, problems } = loadValues({}, env);
    expect(problems).toEqual([]);
    expect(values.port).toBe(9797);
  });

  test.each([
    ['hist', ['host', 'port'], 'host'],
    ['prot', ['host', 'port'], 'port'],
    ['servr', ['serve', 'demo'], 'serve'],
    ['xyz', ['serve', 'demo'], null],
    ['', ['serve'], null],
    ['a'.repeat(1000), ['serve'], null],
  ])('suggest(%j)', (word, candidates, expected) => {
    expect(suggest(word, candidates)).toBe(expected);
  });
});

describe('the file', () => {
  test.each([
    ['no mapping', '- a\n- b\n', 'must be a mapping of option names to values'],
    ['broken', 'a: [', 'is not valid YAML'],
    ['a key twice', 'port: 1\nport: 2\n', 'Map keys must be unique'],
    ['huge', `# ${'x'.repeat(2 ** 20)}\n`, 'is larger than 1024 KiB'],
  ])('%s', (name, text, message) => {
    const config = files.write(`${name}.yaml`, text);
    const { problems } = loadValues({ config }, {});
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ field: 'config', source: '--config' });
    expect(problems[0]?.message).toContain(message);
  });

  test('missing', () => {
    const { problems } = loadValues({}, { KVGATE_CONFIG: '/nonexistent/kvgate.yaml' });
    expect(problems[0]).toMatchObject({ field: 'config', source: 'KVGATE_CONFIG' });
    expect(problems[0]?.message).toContain('ENOENT');
  });

  test('empty is no problem', () => {
    expect(loadValues({ config: files.write('empty.yaml', '') }, {}).problems).toEqual([]);
  });
});

test('every default obeys its own range and choices', () => {
  const given = OPTION_NAMES.filter((name) => name !== 'config' && OPTIONS[name].default !== null);
  const flags = Object.fromEntries(given.map((name) => [name, String(OPTIONS[name].default)]));
  const { values, problems } = loadValues(flags, {});
  expect(problems).toEqual([]);
  expect(values).toEqual(loadValues({}, {}).values);
});
