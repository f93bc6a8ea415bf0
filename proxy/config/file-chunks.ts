import { closeSync, openSync, readSync } from 'node:fs';

/**
 * The bytes of a file, or of something without a size: a pipe, a device. Every
 * chunk has `chunkBytes` but the last one; nothing is read ahead.
 * @throws what node:fs throws when the file can't be read
 */
export function* fileChunks(path: string, chunkBytes: number): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    for (;;) {
      const chunk = Buffer.alloc(chunkBytes);
      let length = 0;
      while (length < chunkBytes) {
        const bytes = readSync(file, chunk, length, chunkBytes - length, null);
        if (bytes === 0) break;
        length += bytes;
      }
      if (length > 0) yield chunk.subarray(0, length);
      if (length < chunkBytes) return;
    }
  } finally {
    closeSync(file);
  }
}
