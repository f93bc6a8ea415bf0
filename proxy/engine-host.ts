/** What can be seen of an engine that runs on this host, besides what it answers. */
import { constants, open } from 'node:fs/promises';
import { commandLineBehind, pathsBehind } from './http/listening-process.ts';
import { GgufHeaderReader } from './memory/gguf/header.ts';
import type { GgufMetadata } from './memory/gguf/metadata.ts';

/** Parsed at once: a few milliseconds, in which nothing else is done. */
const CHUNK_BYTES = 256 * 1024;

export function engineHost(url: string) {
  return {
    commandLine: () => commandLineBehind(url),

    /** Of a file that the engine names; null where it is not one of this host's, no GGUF file, or not ours to read. */
    async modelMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
      for (const place of await pathsBehind(url, path)) {
        const metadata = await readGgufMetadata(place, signal).catch(() => null);
        if (metadata !== null) return metadata;
      }
      return null;
    },
  };
}

/** Only the header is read, however large the file. @throws when it can't be read */
async function readGgufMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
  // A pipe would make the opening wait for somebody who writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) return null;
    const header = new GgufHeaderReader();
    while (!signal.aborted) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES));
      if (bytesRead === 0) return null;
      const state = header.push(buffer.subarray(0, bytesRead));
      if (state.state === 'done') return state.header.metadata;
      if (state.state === 'bad') return null;
    }
    return null;
  } finally {
    await file.close();
  }
}
