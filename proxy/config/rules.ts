/** The rules that hold between options. Each one reports; none stops the others. */
import { isLoopback, type ListenAddress } from './addresses.ts';
import type { BackendConfig } from './config.ts';
import { type OptionName, type OptionValues, SIMULATED_NAMES } from './options.ts';
import type { Report } from './read-files.ts';

export interface RuleInput {
  readonly command: 'serve' | 'demo';
  readonly values: OptionValues;
  readonly isDefault: (name: OptionName) => boolean;
  readonly backends: readonly BackendConfig[];
  readonly adminListen: ListenAddress | null;
}

/** Thresholds each of which must be above the one before it. */
export const ASCENDING: readonly (readonly OptionName[])[] = [
  ['pressure-low', 'pressure-medium', 'pressure-high', 'pressure-critical'],
  [
    'pool-pressure-medium',
    'pool-pressure-high',
    'pool-pressure-critical',
    'pool-pressure-emergency',
  ],
];

export function checkRules(input: RuleInput, report: Report): void {
  for (const names of ASCENDING) checkAscending(names, input, report);
  checkServer(input, report);
  checkBackends(input, report);
  checkSimulated(input, report);
  checkProbe(input, report);
  const { values } = input;
  if (new Set(values['admission-order']).size < values['admission-order'].length) {
    report('admission-order', 'names a step twice');
  }
  if (values.hysteresis >= values['pressure-low']) {
    report('hysteresis', 'must be below pressure-low, or level low is never reached again');
  }
}

function checkAscending(
  names: readonly OptionName[],
  { values, isDefault }: RuleInput,
  report: Report,
): void {
  names.slice(1).forEach((upper, index) => {
    const lower = names[index];
    if (lower === undefined || Number(values[upper]) > Number(values[lower])) return;
    // The one that was set is the one to correct.
    if (isDefault(upper) && !isDefault(lower)) {
      report(lower, `must be below ${upper} (${values[upper]}), not ${values[lower]}`);
    } else {
      report(upper, `must be above ${lower} (${values[lower]}), not ${values[upper]}`);
    }
  });
}

const PASSTHROUGH_PATH = /^\/(?:[A-Za-z0-9._~/-]*)(?:(?<=\/)\*)?$/;

function checkServer({ values, adminListen }: RuleInput, report: Report): void {
  for (const path of values['passthrough-path']) {
    if (!PASSTHROUGH_PATH.test(path) || /\/\/|\/\.\.?(\/|$)/.test(path)) {
      report(
        'passthrough-path',
        `${path.slice(0, 80)} must be a plain path such as /ws or /assets/*`,
      );
    }
  }
  if (values['tls-cert-file'] !== null && values['tls-key-file'] === null) {
    report('tls-cert-file', 'needs tls-key-file as well');
  }
  if (values['tls-key-file'] !== null && values['tls-cert-file'] === null) {
    report('tls-key-file', 'needs tls-cert-file as well');
  }
  if (values['api-key-file'] !== null && values['max-priority'] !== 'normal') {
    report(
      'max-priority',
      'is for callers without API keys: give each key of api-key-file its class',
    );
  }
  if (values.reserve === 'worst-case' && values['overrun-probability'] !== null) {
    report('overrun-probability', 'is for reserve chance: worst-case takes no chance');
  }
  if (values['max-buffered-mb'] < values['max-body-mb']) {
    report('max-buffered-mb', `must hold one body of max-body-mb (${values['max-body-mb']} MiB)`);
  }
  if (adminListen === null) return;
  if (!isLoopback(adminListen.host) && values['admin-token-file'] === null) {
    report('admin-listen', `${adminListen.host} is not loopback: needs admin-token-file`);
  }
  if (adminListen.host === values.host && adminListen.port === values.port && values.port !== 0) {
    report('admin-listen', 'must differ from host and port');
  }
}

function checkBackends({ command, values, backends }: RuleInput, report: Report): void {
  const ofDefaultPool = values.backend.length;
  if (ofDefaultPool === 0 && values['backend-large'].length > 0) {
    report('backend-large', 'needs a backend beside it for all other requests');
  } else if (ofDefaultPool === 0 && command === 'serve') {
    report(
      'backend',
      'no backend given: pass --backend http://HOST:PORT of a running model server, ' +
        'or start `kvgate demo`, which brings a simulated one',
    );
  }
  backends.forEach((backend, index) => {
    const field = backend.pool === 'large' ? 'backend-large' : 'backend';
    const before = backends.slice(0, index);
    if (before.some(({ name }) => name === backend.name)) {
      report(field, `two backends are named ${backend.name}`);
    }
    if (before.some(({ url }) => url === backend.url)) {
      report(field, `${backend.url} is given twice: its memory would be counted twice`);
    }
  });
  if (values['kv-layout'] !== 'auto' && !['auto', 'llamacpp'].includes(values.adapter)) {
    report('kv-layout', `is for llama.cpp, but the adapter is ${values.adapter}`);
  }
}

function checkSimulated({ command, values, isDefault }: RuleInput, report: Report): void {
  const simulated = command === 'demo' && values.backend.length === 0;
  for (const name of SIMULATED_NAMES) {
    if (!simulated && !isDefault(name)) {
      report(name, 'only the simulated server of `kvgate demo` without a backend takes it');
    }
  }
}

function checkProbe({ values }: RuleInput, report: Report): void {
  if (values['stale-after-ms'] < 2 * values['poll-interval-ms']) {
    report(
      'stale-after-ms',
      `must be at least twice poll-interval-ms (${values['poll-interval-ms']} ms)`,
    );
  }
  checkDcgmUrl(values, report);
  if (values['pressure-basis'] === 'gpu' && values['gpu-source'] === 'none') {
    report('pressure-basis', 'gpu needs a gpu-source that reads one');
  }
}

function checkDcgmUrl(values: OptionValues, report: Report): void {
  const text = values['dcgm-url'];
  if (text === null) return;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    report('dcgm-url', 'must be a URL like http://127.0.0.1:9400/metrics');
  } else if (url.username !== '' || url.password !== '') {
    report('dcgm-url', `the URL of ${url.host} holds credentials, which are not sent`);
  }
  if (!['auto', 'dcgm'].includes(values['gpu-source'])) {
    report('dcgm-url', `is for a DCGM exporter, but the gpu-source is ${values['gpu-source']}`);
  }
}
