/** What the documents name exists: files, flags, scripts, headers, metrics. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ESTIMATE_OPTIONS } from '../../proxy/config/estimate-options.ts';
import { isOptionName } from '../../proxy/config/options.ts';
import { REPLAY_OPTIONS } from '../../proxy/config/replay-options.ts';
import { SIMULATE_OPTIONS } from '../../proxy/config/simulate-options.ts';
import { TRAIN_OPTIONS } from '../../proxy/config/train-options.ts';
import { sourcesIn } from '../support/source-file.ts';

const paths = ['.', 'docs', 'docs/adr', 'deploy/secrets'].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => posix.join(folder, name)),
);
const documents = paths.map((path) => ({ path, text: readFileSync(path, 'utf8') }));
const allText = documents.map(({ text }) => text).join('\n');
const sources = sourcesIn('proxy', 'backend-adapters')
  .map(({ path }) => readFileSync(path, 'utf8'))
  .join('\n');

/** Flags of other programs that the documents speak of. */
const NOT_OURS = new Set([
  'build',
  'context-shift',
  'continuous-batching',
  'enable-metrics',
  'metrics',
  'profile',
  'slots',
]);

/** Of one command alone, or of a benchmark. */
const COMMAND_OPTIONS = new Set([
  ...['quick', 'only', 'print'],
  ...Object.keys(ESTIMATE_OPTIONS),
  ...Object.keys(REPLAY_OPTIONS),
  ...Object.keys(SIMULATE_OPTIONS),
  ...Object.keys(TRAIN_OPTIONS),
]);

describe.each(documents)('$path', ({ path, text }) => {
  test('links to what is there', () => {
    const links = all(text, /\]\(([^)#\s]+)/g).filter((link) => !/^https?:/.test(link));
    const targets = links.map((link) => posix.join(posix.dirname(path), link));
    expect(targets.filter((target) => !existsSync(target))).toEqual([]);
  });

  test('names sources that are there', () => {
    const named = all(text, /`((?:[a-z-]+\/)+[a-z-]+\.(?:ts|sh|yml|json))`/g);
    const lost = named.filter((name) => !['', 'proxy/'].some((root) => existsSync(root + name)));
    expect(lost).toEqual([]);
  });

  test('names options that there are', () => {
    const flags = all(text, /(?<![\w-])--([a-z][a-z-]*[a-z])/g);
    expect(flags.filter((flag) => !isKnown(flag))).toEqual([]);
  });
});

test('every script that is named can be run', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = all(allText, /npm run ([a-z0-9:]+)/g);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
});

test('every header that is named is sent or read', () => {
  const named = all(allText, /`(X-(?:Kvgate|Request|Session)-[A-Za-z-]+)/g);
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((name) => !sources.includes(`'${name.toLowerCase()}'`))).toEqual([]);
});

test('every metric that is named is kept', () => {
  const ours = /`((?:kvgate|memory|admission|degradation|sessions)_[a-z_]+)`/g;
  const named = all(allText, ours).filter((name) => name !== 'memory_stats');
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !sources.includes(`'${name}'`))).toEqual([]);
});

function isKnown(flag: string): boolean {
  return isOptionName(flag) || COMMAND_OPTIONS.has(flag) || NOT_OURS.has(flag);
}

function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found]) => found ?? '');
}
