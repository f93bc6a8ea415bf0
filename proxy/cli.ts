#!/usr/bin/env node
/** The command line: what was asked for, and the exit code it ends with. */
import yargs, { type Options } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { EXIT, estimate, type Flags, refuse, replay, simulate, train } from './command-actions.ts';
import { describeConfig } from './config/describe.ts';
import { ESTIMATE_OPTIONS } from './config/estimate-options.ts';
import { type Loaded, loadConfig, loadValues } from './config/load.ts';
import type { Option } from './config/option.ts';
import { OPTION_GROUPS } from './config/options.ts';
import { REPLAY_OPTIONS } from './config/replay-options.ts';
import { SIMULATE_OPTIONS } from './config/simulate-options.ts';
import { didYouMean } from './config/suggest.ts';
import { TRAIN_OPTIONS } from './config/train-options.ts';
import { packageVersion } from './config/version.ts';
import { checkHealth } from './healthcheck.ts';

const COMMANDS = [
  'serve',
  'demo',
  'check-config',
  'doctor',
  'estimate',
  'simulate',
  'replay',
  'train',
  'healthcheck',
  'completion',
];

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
      'simulate',
      'Play a trace of requests against a policy, in virtual time',
      flagsOf(SIMULATE_OPTIONS, 'Simulate'),
      ending(simulate),
    )
    .command(
      'replay',
      'What other thresholds would have done with the requests of a decision log',
      flagsOf(REPLAY_OPTIONS, 'Replay'),
      ending(replay),
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

async function healthcheck(flags: Flags): Promise<number> {
  const { values, problems } = loadValues(flags, process.env);
  if (problems.length > 0) return refuse(problems);
  const { host, port, 'tls-cert-file': certFile } = values;
  const wrong = await checkHealth({ host, port, tls: certFile !== null });
  if (wrong === null) return EXIT.ok;
  console.error(`kvgate: not healthy: ${wrong}`);
  return EXIT.runtime;
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
