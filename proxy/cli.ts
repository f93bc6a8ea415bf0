#!/usr/bin/env node
/** The command line: what was asked for, and the exit code it ends with. */
import yargs, { type Options } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { readCommandOptions } from './config/command-options.ts';
import { describeConfig } from './config/describe.ts';
import { ESTIMATE_OPTIONS } from './config/estimate-options.ts';
import { type Loaded, loadConfig, loadValues } from './config/load.ts';
import type { Option } from './config/option.ts';
import { OPTION_GROUPS } from './config/options.ts';
import { type Problem, renderProblem } from './config/problem.ts';
import { didYouMean } from './config/suggest.ts';
import { TRAIN_OPTIONS } from './config/train-options.ts';
import { packageVersion } from './config/version.ts';
import { checkHealth } from './healthcheck.ts';

const EXIT = { ok: 0, runtime: 1, usage: 2 } as const;
const COMMANDS = [
  'serve',
  'demo',
  'check-config',
  'doctor',
  'estimate',
  'train',
  'healthcheck',
  'completion',
];

type Flags = Readonly<Record<string, unknown>>;

process.exitCode = await run(hideBin(process.argv)).catch((error: unknown) => {
  console.error('kvgate:', error);
  return EXIT.runtime;
});

async function run(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok;
  const ending = (action: (flags: Flags) => Promise<number> | number) => async (argv: unknown) => {
    const { _: words, $0: _script, ...flags } = argv as Flags;
    exitCode = refuseUnknownWord(words) ?? (await action(flags));
  };
  const table = tableOptions();
  await yargs([...args])
    .scriptName('kvgate')
    .usage('$0 [command] [options]\n\nA proxy that guards the GPU memory of LLM servers.')
    .command(['serve', '$0'], 'Guard the given backends', table, ending(serveBackends))
    .command('demo', 'Guard a simulated server, or the given backends', table, ending(demo))
    .command(
      'check-config',
      'Print what serve would use, or all problems',
      table,
      ending(checkConfig),
    )
    .command(
      'doctor',
      'Tell what each backend is and how it would be guarded',
      table,
      ending(doctor),
    )
    .command(
      'estimate',
      'What a request takes, part by part, and how many such fit on a GPU',
      flagsOf(ESTIMATE_OPTIONS, 'Estimate'),
      ending(estimate),
    )
    .command(
      'train',
      'Learn output lengths from decision logs',
      flagsOf(TRAIN_OPTIONS, 'Train'),
      ending(train),
    )
    .command('healthcheck', 'Ask a running kvgate for /health', table, ending(healthcheck))
    .completion('completion', 'Print a completion script for the shell')
    .parserConfiguration({
      // Values stay text, so that flags and variables are read by the same rules.
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'dot-notation': false,
      'camel-case-expansion': false,
      'greedy-arrays': false,
    })
    .version(packageVersion())
    .locale('en')
    .wrap(100)
    .epilogue('--queue-max is also KVGATE_QUEUE_MAX in the environment, and queue-max in the file.')
    .fail((message, error) => {
      if (error instanceof Error && error.name !== 'YError') throw error;
      console.error(`kvgate: ${message}`);
      exitCode = EXIT.usage;
    })
    .parseAsync();
  return exitCode;
}

function serveBackends(flags: Flags): Promise<number> | number {
  return start(loadConfig({ command: 'serve', flags, env: process.env }));
}

function demo(flags: Flags): Promise<number> | number {
  return start(loadConfig({ command: 'demo', flags, env: process.env }));
}

async function start(loaded: Loaded): Promise<number> {
  if (!loaded.ok) return refuse(loaded.problems);
  // Loaded late: the other commands, a health check above all, start without the proxy.
  const { serve } = await import('./main.ts');
  return serve(loaded.config, { demo: loaded.demo });
}

function checkConfig(flags: Flags): number {
  const loaded = loadConfig({ command: 'serve', flags, env: process.env });
  if (!loaded.ok) return refuse(loaded.problems);
  for (const line of describeConfig(loaded.config)) console.log(line);
  return EXIT.ok;
}

async function doctor(flags: Flags): Promise<number> {
  const loaded = loadConfig({ command: 'serve', flags, env: process.env });
  if (!loaded.ok) return refuse(loaded.problems);
  const { examine } = await import('./doctor.ts');
  const { text, allGuarded } = await examine(loaded.config);
  console.log(text);
  return allGuarded ? EXIT.ok : EXIT.runtime;
}

async function estimate(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(ESTIMATE_OPTIONS, flags);
  if (problems.length > 0) return refuse(problems);
  const estimating = await import('./estimate.ts');
  const result = await estimating.estimate(values);
  if (!('kvBytes' in result)) return refuse(result);
  console.log(values.json ? JSON.stringify(result, null, 2) : estimating.estimateReport(result));
  return EXIT.ok;
}

async function train(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(TRAIN_OPTIONS, flags);
  const missing = [
    ...(values.log.length === 0 ? [missingFlag('log', 'the file of --decision-log')] : []),
    ...(values['state-dir'] === null ? [missingFlag('state-dir', 'a folder')] : []),
  ];
  const all = [...problems, ...missing];
  if (all.length > 0 || values['state-dir'] === null) return refuse(all);
  const learning = await import('./train.ts');
  try {
    console.log(await learning.train(values.log, values['state-dir']));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof learning.TrainError)) throw error;
    const { option, message } = error;
    if (option !== null) return refuse([{ field: option, source: `--${option}`, message }]);
    console.error(`kvgate: ${message}`);
    return EXIT.runtime;
  }
}

function missingFlag(field: string, what: string): Problem {
  return { field, source: `--${field}`, message: `is needed: pass --${field} with ${what}` };
}

async function healthcheck(flags: Flags): Promise<number> {
  const { values, problems } = loadValues(flags, process.env);
  if (problems.length > 0) return refuse(problems);
  const { host, port, 'tls-cert-file': certFile } = values;
  const wrong = await checkHealth({ host, port, tls: certFile !== null });
  if (wrong === null) return EXIT.ok;
  console.error(`kvgate: not healthy: ${wrong}`);
  return EXIT.runtime;
}

function refuse(problems: readonly Problem[]): number {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  console.error(`kvgate: ${count} in the configuration`);
  for (const problem of problems) console.error(`  ${renderProblem(problem)}`);
  return EXIT.usage;
}

/** The first word may name the command; options take their values with them. */
function refuseUnknownWord(words: unknown): number | null {
  const [first, ...rest] = Array.isArray(words) ? words.map(String) : [];
  const unknown = first !== undefined && !COMMANDS.includes(first) ? first : rest[0];
  if (unknown === undefined) return null;
  console.error(`kvgate: unknown command ${unknown}${didYouMean(unknown, COMMANDS)}`);
  return EXIT.usage;
}

/** Values are checked by the configuration, which lists all problems at once; yargs stops at one. */
function tableOptions(): Record<string, Options> {
  const groups = Object.entries(OPTION_GROUPS);
  return Object.assign({}, ...groups.map(([group, options]) => flagsOf(options, group)));
}

function flagsOf(
  options: Readonly<Record<string, Option>>,
  group: string,
): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => [name, flagOf(option, group)]),
  );
}

function flagOf(option: Option, group: string): Options {
  const fallback = Array.isArray(option.default) ? option.default.join(',') : option.default;
  return {
    group: `${group}:`,
    describe: `${option.description}${hint(option)}`,
    ...(fallback === null || fallback === '' ? {} : { defaultDescription: String(fallback) }),
    ...(option.type === 'list' ? { array: true, string: true } : {}),
    requiresArg: option.type !== 'boolean',
  };
}

function hint({ choices, unit }: Option): string {
  if (choices !== null) return ` [${choices.join('|')}]`;
  return unit === null ? '' : ` [${unit}]`;
}
