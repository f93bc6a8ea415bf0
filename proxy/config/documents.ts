/** The published documents of the option table, as text: schema, example file, list of flags. */
import { envName, expectation, type Option } from './option.ts';
import { OPTION_GROUPS } from './options.ts';
import { fileJsonSchema } from './schema.ts';

/** Every generated file, by its path from the repository's root. */
export function renderDocuments(): Readonly<Record<string, string>> {
  return {
    'deploy/config.schema.json': `${JSON.stringify(fileJsonSchema(), null, 2)}\n`,
    'deploy/config.example.yaml': renderExample(),
    'docs/flags.md': renderFlags(),
  };
}

/** Options set in the example; all others stand there as comments, at their defaults. */
const EXAMPLE: Readonly<Record<string, string>> = { backend: '["http://127.0.0.1:8080"]' };

function renderExample(): string {
  const groups = Object.entries(OPTION_GROUPS).map(([group, options]) => {
    const entries = Object.entries(options)
      .filter(([name]) => name !== 'config')
      .map(([name, option]) => {
        const set = EXAMPLE[name];
        const line = set === undefined ? `# ${name}: ${defaultText(option)}` : `${name}: ${set}`;
        return `# ${oneLine(option)}\n${line.trimEnd()}\n`;
      });
    return `# --- ${group} ---\n\n${entries.join('\n')}`;
  });
  return `# yaml-language-server: $schema=./config.schema.json
#
# Every option of kvgate with its default. Start with: kvgate serve --config FILE
# A flag comes before a variable, a variable before this file.

${groups.join('\n')}`;
}

function renderFlags(): string {
  const groups = Object.entries(OPTION_GROUPS).map(([group, options]) => {
    const rows = Object.entries(options).map(([name, option]) => {
      const what = cell(`${option.description} ${allowed(option)}`.trim());
      const fallback = defaultText(option) === '' ? '' : `\`${defaultText(option)}\``;
      return `| \`--${name}\` | \`${envName(name)}\` | ${fallback} | ${what} |`;
    });
    return `## ${group}

| flag | environment | default | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
  });
  return `# Options

Generated from \`proxy/config/options.ts\` by \`npm run docs\`.

- A flag comes before an environment variable, a variable before the file of \`--config\`, and the
  file before the default. An empty variable counts as unset.
- A key in the file is the flag without its dashes: \`config.example.yaml\` in \`deploy/\` has all of
  them, \`config.schema.json\` beside it is its JSON schema.
- A list is a repeated flag, words with commas, or a YAML list.
- Sizes named \`mb\` are MiB (1024 x 1024 bytes), sizes named \`gb\` are GiB.
- An unknown flag, key or \`KVGATE_\` variable is refused, and so is a value out of its range.
  \`kvgate check-config\` prints what is in effect, or every problem at once.

${groups.join('\n')}`;
}

function allowed(option: Option): string {
  if (option.type === 'string' || option.type === 'boolean') return '';
  if (option.type === 'list' && option.choices === null) return '';
  return `(${expectation(option)})`;
}

function oneLine(option: Option): string {
  return `${option.description} ${allowed(option)}`.trim();
}

function defaultText({ default: value }: Option): string {
  if (value === null || (Array.isArray(value) && value.length === 0)) return '';
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

/** A bar would end a cell of the table. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
