/** What can be seen of an engine that runs on this host, besides what it answers. */
import { constants, lstat, open } from 'node:fs/promises';
import { commandLineBehind, pathsBehind } from './http/listening-process.ts';
import { GgufHeaderReader } from './memory/gguf/header.ts';
import type { GgufMetadata } from './memory/gguf/metadata.ts';

/** Parsed at once: about a millisecond of a real vocabulary, in which nothing else is done. */
const CHUNK_BYTES = 64 * 1024;

export function engineHost(url: string) {
  let isReading = false;

  async function firstMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
    isReading = true;
    try {
      for (const place of await pathsBehind(url, path)) {
        const metadata = await readGgufMetadata(place, signal).catch(() => null);
        if (metadata !== null) return metadata;
      }
      return null;
    } finally {
      isReading = false;
    }
  }

  return {
    commandLine: () => commandLineBehind(url),

    /**
     * Of a file that the engine names; null where it is not one of this host's, no
     * GGUF file, not ours to read, or not read before `signal`. A file system that
     * does not answer holds a thread of this process for good: while one file is
     * being read, no second one is begun.
     */
    modelMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
      if (isReading) return Promise.resolve(null);
      return Promise.race([firstMetadata(path, signal), aborted(signal)]);
    },
  };
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener('abort', () => resolve(null), { once: true });
  });
}

/** Only the header is read, however large the file. @throws when it can't be read */
async function readGgufMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
  // To open a device may already do something.
  if (!(await lstat(path)).isFile()) return null;
  // In its place may be a pipe by now, which would wait for somebody who writes, or a link.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(path, flags);
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
