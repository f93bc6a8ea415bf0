/**
 * The rules of ARCHITECTURE.md, checked against every source. Each rule brings
 * sources that break it, so that a rule that can't fail is found out.
 */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseSource, type SourceFile, sourcesIn } from './support/source-file.ts';

const product = sourcesIn('proxy', 'backend-adapters');
const tests = sourcesIn('test');
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
/** An optional one is loaded where it is installed: it is imported, and by one file, all the same. */
const dependencies = { ...manifest.dependencies, ...manifest.optionalDependencies };

interface Rule {
  readonly name: string;
  /** What is wrong, a line for each breach that names the file. */
  readonly broken: (files: readonly SourceFile[]) => readonly string[];
  /** Sources by path, each set of which breaks the rule. */
  readonly examples: readonly Readonly<Record<string, string>>[];
}

/** What each room may import besides itself: rooms, or single files, or single files for their types. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cli: ['main', 'config'],
  main: [
    'config',
    'http',
    'state',
    'policy',
    'memory',
    'json',
    'gpu',
    'telemetry',
    'tokens',
    'simulate',
    'adapters',
    'simulated-server',
  ],
  config: ['memory', 'type proxy/policy/types.ts'],
  http: ['state', 'policy', 'memory', 'json', 'type backend-adapters/adapter.ts'],
  state: ['policy', 'memory', 'type backend-adapters/adapter.ts'],
  policy: ['memory'],
  tokens: [
    'memory',
    'type proxy/json/types.ts',
    'type proxy/state/clock.ts',
    'type proxy/state/counts/local-counter.ts',
    'type proxy/state/log.ts',
    'type proxy/state/pools.ts',
    'type backend-adapters/adapter.ts',
  ],
  simulate: ['state', 'policy', 'memory', 'simulated-server', 'type backend-adapters/adapter.ts'],
  memory: [],
  json: [],
  text: [],
  gpu: ['text', 'type proxy/state/gpu-source.ts', 'type proxy/state/clock.ts'],
  telemetry: [
    'type proxy/state/log.ts',
    'type proxy/state/metrics.ts',
    'type proxy/policy/types.ts',
    'type proxy/config/config.ts',
  ],
  adapters: ['proxy/policy/types.ts', 'memory', 'json', 'text'],
  'simulated-server': [],
};

/** Rooms that import nothing but sources, and have no clock, no chance and no input or output. */
const PURE_ROOMS: ReadonlySet<string> = new Set(['policy', 'memory', 'json', 'text']);
const PURE_FILES: ReadonlySet<string> = new Set(['proxy/gpu/nvidia-smi-parser.ts']);
const IMPURE_NAMES = [
  ...['Date', 'performance', 'Math.random', 'crypto', 'process', 'console', 'Buffer', 'fetch'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'globalThis', 'require'],
];

const MAX_FILE_LINES = 220;
const MAX_FUNCTION_LINES = 70;

/** What has leave to be longer, up to how many lines, and why. */
const LONGER_FILES: ReadonlyMap<string, { readonly lines: number; readonly why: string }> = new Map(
  [
    ['proxy/config/options.ts', { lines: 330, why: 'one table, a row for each option' }],
    ['proxy/json/scanner.ts', { lines: 240, why: 'one state machine' }],
  ],
);
const LONGER_FUNCTIONS: ReadonlyMap<string, { readonly lines: number; readonly why: string }> =
  new Map([
    [
      'proxy/telemetry/instruments.ts: createInstruments',
      { lines: 150, why: 'one table of instruments' },
    ],
  ]);

const rules: readonly Rule[] = [
  {
    name: 'rooms import only what lies below them',
    broken: (files) => files.flatMap(forbiddenImports),
    examples: [
      { 'proxy/policy/bad.ts': `import { x } from '../state/ledger.ts';` },
      { 'proxy/policy/bad.ts': `import type { X } from '../http/problem.ts';` },
      { 'proxy/state/bad.ts': `export { x } from '../http/problem.ts';` },
      { 'proxy/state/bad.ts': `import { llamacpp } from '../../backend-adapters/llamacpp.ts';` },
      { 'proxy/http/bad.ts': `import { anything } from '../../backend-adapters/adapter.ts';` },
      { 'proxy/http/bad.ts': `const { startGate } = await import('../gate.ts');` },
      { 'proxy/http/bad.ts': `const main = 'main.ts'; await import('../' + main);` },
      { 'proxy/main.ts': `export * from './cli.ts';` },
      { 'proxy/gpu/bad.ts': `type Ledger = import('../state/ledger.ts').Ledger;` },
      { 'backend-adapters/bad.ts': `import { decide } from '../proxy/policy/decide.ts';` },
      { 'backend-adapters/simulated-server/bad.ts': `import '../../proxy/memory/units.ts';` },
    ],
  },
  {
    name: 'no file imports itself by way of others',
    broken: importCycles,
    examples: [
      {
        'proxy/state/a.ts': `import { b } from './b.ts';`,
        'proxy/state/b.ts': `export { c } from './c.ts';`,
        'proxy/state/c.ts': `import { a } from './a.ts';`,
      },
    ],
  },
  {
    name: 'adapters and the simulated server use no package, and adapters no node: module either',
    broken: (files) =>
      files.flatMap(({ path, imports }) => {
        const room = roomOf(path);
        if (room !== 'adapters' && room !== 'simulated-server') return [];
        return imports
          .filter(({ specifier }) => !specifier.startsWith('.'))
          .filter(({ specifier }) => room === 'adapters' || !specifier.startsWith('node:'))
          .map(({ specifier }) => `${path} imports ${specifier}`);
      }),
    examples: [
      { 'backend-adapters/bad.ts': `import { request } from 'undici';` },
      { 'backend-adapters/bad.ts': `import { readFileSync } from 'node:fs';` },
      { 'backend-adapters/simulated-server/bad.ts': `import pino from 'pino';` },
    ],
  },
  {
    name: 'policy, memory, json, text and the nvidia-smi parser are pure',
    broken: (files) => files.filter(isPure).flatMap(impurities),
    examples: [
      { 'proxy/policy/bad.ts': `import { performance } from 'node:perf_hooks';` },
      { 'proxy/memory/bad.ts': `import type { Pool } from 'undici';` },
      { 'proxy/policy/bad.ts': `export const now = () => Date.now();` },
      { 'proxy/policy/bad.ts': `export const roll = () => Math.random();` },
      { 'proxy/json/bad.ts': `export const empty = Buffer.alloc(0);` },
      { 'proxy/json/bad.ts': `export function log() { console.log('x'); }` },
      { 'proxy/memory/bad.ts': `export const home = process.env.HOME;` },
      { 'proxy/text/bad.ts': `import { readFileSync } from 'node:fs';` },
      { 'proxy/gpu/nvidia-smi-parser.ts': `setTimeout(() => {}, 1);` },
    ],
  },
  {
    name: 'each package has one importer',
    broken: (files) =>
      [...new Set(files.flatMap((file) => [...packagesOf(file)]))].flatMap((name) => {
        const users = files.filter((file) => packagesOf(file).has(name)).map(({ path }) => path);
        return users.length > 1 ? [`${users.join(' and ')} import ${name}`] : [];
      }),
    examples: [
      {
        'proxy/http/a.ts': `import { Pool } from 'undici';`,
        'proxy/http/b.ts': `import type { Agent } from 'undici';`,
      },
    ],
  },
  {
    name: 'imported packages are dependencies',
    broken: (files) =>
      files.flatMap((file) =>
        [...packagesOf(file)]
          .filter((name) => !Object.hasOwn(dependencies, name))
          .map((name) => `${file.path} imports ${name}`),
      ),
    examples: [{ 'proxy/http/bad.ts': `import express from 'express';` }],
  },
  {
    name: 'no any, no non-null assertion, no enum, no namespace',
    broken: (files) =>
      files.flatMap(({ path, usesAny, nodeTypes }) => [
        ...(usesAny ? [`${path} uses any`] : []),
        ...['TsNonNullExpression', 'TsEnumDeclaration', 'TsModuleDeclaration']
          .filter((type) => nodeTypes.has(type))
          .map((type) => `${path} has a ${type}`),
      ]),
    examples: [
      { 'proxy/http/bad.ts': `export function f(x: any) { return x; }` },
      { 'proxy/http/bad.ts': `export const f = (x?: string) => x!.length;` },
      { 'proxy/http/bad.ts': `export enum Level { low }` },
    ],
  },
  {
    name: 'no file is named for being of use',
    broken: (files) =>
      files
        .filter(({ path }) => /(^|[-/.])(utils?|helpers?|managers?|common|misc)[-/.]/.test(path))
        .map(({ path }) => path),
    examples: [{ 'proxy/http/utils.ts': '' }, { 'proxy/state/session-manager.ts': '' }],
  },
  {
    name: `functions have at most ${MAX_FUNCTION_LINES} lines`,
    broken: (files) =>
      files.flatMap(({ path, functions }) =>
        functions
          .map(({ name, lines }) => ({ name: `${path}: ${name}`, lines }))
          .filter(({ name, lines }) => lines > linesFor(name, LONGER_FUNCTIONS, MAX_FUNCTION_LINES))
          .map(({ name, lines }) => `${name} has ${lines} lines`),
      ),
    examples: [{ 'proxy/http/bad.ts': `export function f() {${'\n'.repeat(MAX_FUNCTION_LINES)}}` }],
  },
  {
    name: `files have at most ${MAX_FILE_LINES} lines`,
    broken: (files) =>
      files
        .filter(({ path, lines }) => lines > linesFor(path, LONGER_FILES, MAX_FILE_LINES))
        .map(({ path, lines }) => `${path} has ${lines} lines`),
    examples: [{ 'proxy/http/bad.ts': 'export {};\n'.repeat(MAX_FILE_LINES + 1) }],
  },
];

describe.each(rules)('$name', ({ broken, examples }) => {
  test('holds for every source', () => {
    expect(broken(product)).toEqual([]);
  });

  test.each(examples.map((sources) => [JSON.stringify(sources).slice(0, 100), sources]))(
    'is broken by: %s',
    (_shown, sources) => {
      const files = Object.entries(sources).map(([path, text]) => parseSource(path, text));
      expect(broken(files)).not.toEqual([]);
    },
  );
});

test('the sources were found', () => {
  expect(product.map(({ path }) => path)).toEqual(
    expect.arrayContaining([
      'proxy/cli.ts',
      'proxy/policy/decide.ts',
      'backend-adapters/adapter.ts',
    ]),
  );
});

test('no room may import one that may import it', () => {
  const reachable = (room: string): string[] =>
    (MAY_IMPORT[room] ?? [])
      .filter((target) => target in MAY_IMPORT)
      .flatMap((target) => [target, ...reachable(target)]);
  for (const room of Object.keys(MAY_IMPORT)) expect(reachable(room)).not.toContain(room);
});

test('every dependency is imported', () => {
  const imported = new Set(product.flatMap((file) => [...packagesOf(file)]));
  expect([...imported].sort()).toEqual(Object.keys(dependencies).sort());
});

test('tests import only what is declared, and keep to the rules of style', () => {
  const declared = { ...dependencies, ...manifest.devDependencies };
  const unknown = tests.flatMap((file) =>
    [...packagesOf(file)].filter((name) => !Object.hasOwn(declared, name)),
  );
  expect(unknown).toEqual([]);
  expect(tests.filter(({ usesAny }) => usesAny).map(({ path }) => path)).toEqual([]);
});

test('leave to be longer is given to none that does not need it', () => {
  const longFiles = product.filter(({ lines }) => lines > MAX_FILE_LINES).map(({ path }) => path);
  expect([...LONGER_FILES.keys()].filter((path) => !longFiles.includes(path))).toEqual([]);
  const longFunctions = product.flatMap(({ path, functions }) =>
    functions
      .filter(({ lines }) => lines > MAX_FUNCTION_LINES)
      .map(({ name }) => `${path}: ${name}`),
  );
  expect([...LONGER_FUNCTIONS.keys()].filter((name) => !longFunctions.includes(name))).toEqual([]);
});

function linesFor(name: string, longer: typeof LONGER_FILES, usual: number): number {
  return longer.get(name)?.lines ?? usual;
}

function roomOf(path: string): string {
  const [top, second = '', third] = path.split('/');
  if (top === 'backend-adapters') return second === 'simulated-server' ? second : 'adapters';
  if (path === 'proxy/cli.ts') return 'cli';
  return third === undefined ? 'main' : second;
}

function forbiddenImports({ path, imports }: SourceFile): string[] {
  const room = roomOf(path);
  const allowed = MAY_IMPORT[room];
  if (allowed === undefined) return [`${path} is in no known room`];
  return imports
    .filter(({ specifier }) => specifier.startsWith('.') || specifier === '(computed)')
    .filter(({ target, typeOnly }) => {
      if (posix.extname(target) !== '.ts') return true;
      const to = roomOf(target);
      if (to === room || allowed.includes(to) || allowed.includes(target)) return false;
      return !(typeOnly && allowed.includes(`type ${target}`));
    })
    .map(({ target, typeOnly }) => `${path} imports ${typeOnly ? 'a type of ' : ''}${target}`);
}

/** Over what is loaded: a type may be named from anywhere that the rooms allow. */
function importCycles(files: readonly SourceFile[]): string[] {
  const importsOf = new Map(
    files.map(({ path, imports }) => [
      path,
      imports.filter(({ typeOnly }) => !typeOnly).map(({ target }) => target),
    ]),
  );
  const done = new Set<string>();
  const cyclesFrom = (path: string, above: readonly string[]): string[] => {
    if (above.includes(path)) return [[...above.slice(above.indexOf(path)), path].join(' -> ')];
    if (done.has(path)) return [];
    done.add(path);
    return (importsOf.get(path) ?? []).flatMap((target) => cyclesFrom(target, [...above, path]));
  };
  return files.flatMap(({ path }) => cyclesFrom(path, []));
}

function isPure({ path }: SourceFile): boolean {
  return PURE_ROOMS.has(roomOf(path)) || PURE_FILES.has(path);
}

function impurities({ path, imports, names }: SourceFile): string[] {
  return [
    ...imports
      .filter(({ specifier }) => !specifier.startsWith('.'))
      .map(({ specifier }) => `${path} imports ${specifier}`),
    ...IMPURE_NAMES.filter((name) => names.has(name)).map((name) => `${path} uses ${name}`),
  ];
}

/** Packages from the registry, by name: neither sources nor modules of node. */
function packagesOf({ imports }: SourceFile): ReadonlySet<string> {
  const specifiers = imports.map(({ specifier }) => specifier);
  return new Set(
    specifiers
      .filter((name) => !/^(\.|node:|\(computed\))/.test(name))
      .map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      ),
  );
}
