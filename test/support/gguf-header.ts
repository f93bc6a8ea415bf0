/** GGUF headers for tests: encoded, read whole, and as the metadata of a spec. */
import { GgufHeaderReader, type GgufHeaderState } from '../../proxy/memory/gguf/header.ts';
import type { GgufMetadata, GgufValue as ReadValue } from '../../proxy/memory/gguf/metadata.ts';
import { encodeGguf, type GgufValue } from './gguf-encoder.ts';

/** The bytes of a file without tensors. */
export function ggufBytes(entries: Readonly<Record<string, GgufValue>>): Uint8Array {
  return encodeGguf(new Map(Object.entries(entries)), []);
}

export function readGguf(bytes: Uint8Array, chunkBytes = bytes.length): GgufHeaderState {
  const reader = new GgufHeaderReader();
  let state = reader.push(bytes.subarray(0, chunkBytes));
  for (let at = chunkBytes; at < bytes.length; at += chunkBytes) {
    state = reader.push(bytes.subarray(at, at + chunkBytes));
  }
  return state;
}

/** Keys without the architecture's name get it; undefined leaves one out. */
export function ggufMetadata(
  architecture: string,
  values: Readonly<Record<string, ReadValue | undefined>>,
): GgufMetadata {
  const metadata = new Map<string, ReadValue>([['general.architecture', architecture]]);
  for (const [key, value] of Object.entries(values)) {
    const isWhole = /^(general|tokenizer|split)\./.test(key);
    if (value !== undefined) metadata.set(isWhole ? key : `${architecture}.${key}`, value);
  }
  return metadata;
}
