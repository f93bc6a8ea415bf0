import { describe, test } from '@jest/globals';
import { findLlamaServer } from './llama-server.ts';

type Found = { readonly found: true } | { readonly found: false; readonly why: string };

/**
 * A suite that needs a real model server, llama-server unless `server` says
 * otherwise. Where there is none it is skipped, with the reason on the console,
 * except under CI: there its absence fails, or a broken install would look like
 * a green run.
 */
export function describeReal(
  name: string,
  suite: () => void,
  server: Found = findLlamaServer(),
): void {
  if (server.found) {
    describe(name, suite);
    return;
  }
  if (process.env.CI) {
    describe(name, () => {
      test('a real server is there', () => {
        throw new Error(server.why);
      });
    });
    return;
  }
  const { skip: skipped } = describe;
  console.warn(`${name}: skipped: ${server.why}`);
  skipped(name, suite);
}
