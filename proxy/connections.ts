/** The connections to every backend, opened as they are needed. */
import type { BackendConfig, Config } from './config/config.ts';
import { Upstream } from './http/upstream.ts';

export interface Connections {
  of(name: string): Upstream;
  /** Breaks what is still open. */
  close(): Promise<unknown>;
}

export function connections(
  backends: readonly BackendConfig[],
  { backendApiKey, connectTimeoutMs }: Config['engine'],
): Connections {
  const byName = new Map(
    backends.map(({ name, url }) => [name, new Upstream(url, backendApiKey, connectTimeoutMs)]),
  );
  return {
    of(name: string): Upstream {
      const upstream = byName.get(name);
      if (upstream === undefined) throw new Error(`no connections to ${name}`);
      return upstream;
    },
    close: () => Promise.all([...byName.values()].map((upstream) => upstream.close())),
  };
}
