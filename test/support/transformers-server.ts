/** Runs a real `transformers serve` on the tiny model. */
import { type RunningPythonServer, startPythonServer } from './python-server.ts';

/**
 * Ready in about 5 s, and serves the one model it is pinned to, whose name is
 * its folder. `args` are added to its command line, e.g. ['--default-seed', '1'].
 *
 * It runs one generation at a time, at about 90 tokens/s; requests that come
 * meanwhile wait inside it without a bound. One that does not stream runs to its
 * end though its client has gone: a test that leaves one behind has to wait it out.
 */
export function startTransformersServer(
  args: readonly string[] = [],
): Promise<RunningPythonServer> {
  return startPythonServer('transformers', (model, port) => [
    '-m',
    'transformers.cli.transformers',
    'serve',
    model,
    ...['--host', '127.0.0.1', '--port', port, ...args],
  ]);
}
