/** From raw sources to the frozen Config, or to the list of every problem there is. */
import type { Config, DemoConfig } from './config.ts';
import { envName } from './option.ts';
import { OPTION_NAMES, type OptionName, type OptionValues } from './options.ts';
import type { Problem } from './problem.ts';
import { type Report, readFiles, readYamlMapping } from './read-files.ts';
import { resolveAdminListen, resolveBackends, resolveConfig, resolveDemo } from './resolve.ts';
import { checkRules } from './rules.ts';
import { checkValues } from './schema.ts';
import { mergeSources, type RawValues, type Sources } from './sources.ts';

export interface LoadInput {
  readonly command: 'serve' | 'demo';
  readonly flags: Sources['flags'];
  readonly env: Sources['env'];
}

export type Loaded =
  /** `demo` is null where a real backend is given. */
  | { readonly ok: true; readonly config: Config; readonly demo: DemoConfig | null }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads the files that the options name; never throws for what they hold. */
export function loadConfig({ command, flags, env }: LoadInput): Loaded {
  const { values, raw, problems } = loadValues(flags, env);
  const report: Report = (field, message) => {
    problems.push({ field, source: raw[field].source, message });
  };
  const files = readFiles(values, report);
  const backends = resolveBackends(values, report);
  const adminListen = resolveAdminListen(values, report);
  const isDefault = (name: OptionName): boolean => raw[name].source === 'default';
  checkRules({ command, values, isDefault, backends, adminListen }, report);
  if (problems.length > 0) return { ok: false, problems };
  const options = Object.fromEntries(
    OPTION_NAMES.map((name) => [name, { value: values[name], source: raw[name].source }]),
  );
  return {
    ok: true,
    config: resolveConfig({ values, files, backends, adminListen, options }),
    demo: command === 'demo' && backends.length === 0 ? resolveDemo(values, isDefault) : null,
  };
}

/** The options alone, each checked by itself: enough to know where a server listens. */
export function loadValues(
  flags: Sources['flags'],
  env: Sources['env'],
): { values: OptionValues; raw: RawValues; problems: Problem[] } {
  const problems: Problem[] = [];
  const file = readConfigFile(flags, env, problems);
  const merged = mergeSources({ flags, env, file });
  const checked = checkValues(merged.raw);
  problems.push(...merged.problems, ...checked.problems);
  return { values: checked.values, raw: merged.raw, problems };
}

/** The file must be known before sources are merged, so its own name can't come from it. */
function readConfigFile(
  flags: Sources['flags'],
  env: Sources['env'],
  problems: Problem[],
): Sources['file'] {
  const name = flags.config ?? env[envName('config')];
  if (typeof name !== 'string' || name === '') return null;
  const mapping = readYamlMapping(name);
  if (mapping.ok) return { name, entries: mapping.value };
  const source = flags.config === undefined ? envName('config') : '--config';
  problems.push({ field: 'config', source, message: `${name} ${mapping.why}` });
  return null;
}
