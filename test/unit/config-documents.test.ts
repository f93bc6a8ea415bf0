import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { renderDocuments } from '../../proxy/config/documents.ts';
import { envName } from '../../proxy/config/option.ts';
import { OPTION_NAMES } from '../../proxy/config/options.ts';

const documents = renderDocuments();

test.each(Object.entries(documents))('%s is as `npm run docs` writes it', (path, text) => {
  expect(readFileSync(path, 'utf8')).toBe(text);
});

test('the list of flags has every flag and every variable', () => {
  for (const name of OPTION_NAMES) {
    expect(documents['docs/flags.md']).toContain(`| \`--${name}\` | \`${envName(name)}\` |`);
  }
});

// The published schema as another program reads it, not the schema it was made from.
const schema = z.fromJSONSchema(JSON.parse(documents['deploy/config.schema.json'] ?? ''));
const example = documents['deploy/config.example.yaml'] ?? '';

test('the schema accepts the example, as it is and with every default spelled out', () => {
  expect(schema.safeParse(parse(example)).error).toBeUndefined();
  const names = OPTION_NAMES.join('|');
  const defaults = new RegExp(`^# ((${names}): .+)$`, 'gm');
  const withDefaults = parse(example.replace(defaults, '$1')) as object;
  expect(Object.keys(withDefaults).length).toBeGreaterThan(40);
  expect(schema.safeParse(withDefaults).error).toBeUndefined();
});

test.each([
  ['an unknown key', { prot: 1 }],
  ['a number out of range', { 'gpu-memory-threshold': 1.5 }],
  ['a number as text', { port: '9797' }],
  ['an unknown word', { adapter: 'vlm' }],
  ['an unknown step', { 'admission-order': ['hope'] }],
])('the schema refuses %s', (_name, content) => {
  expect(schema.safeParse(content).success).toBe(false);
});
