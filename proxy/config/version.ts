import { existsSync, readFileSync } from 'node:fs';

/**
 * The version in the package's own package.json, found by walking up from this
 * file, which lies at another depth in `dist` than in the sources.
 */
export function packageVersion(): string {
  for (const up of ['../../', '../../../']) {
    const file = new URL(`${up}package.json`, import.meta.url);
    if (!existsSync(file)) continue;
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown };
    if (typeof version === 'string') return version;
  }
  return 'unknown';
}
