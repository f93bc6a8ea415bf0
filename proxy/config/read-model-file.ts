/**
 * The file that `--model-config` names: a config.json, or a GGUF file, however
 * large, of which only the header is read. What it begins with tells them apart.
 */
import { GGUF_MAGIC, GgufHeaderReader } from '../memory/gguf/header.ts';
import type { ModelFile } from '../memory/models/model-file.ts';
import type { Parsed } from './addresses.ts';
import { fileChunks } from './file-chunks.ts';

/** More than any real config.json has. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** @throws what node:fs throws when the file can't be read */
export function readModelFile(path: string): Parsed<ModelFile> {
  const header = new GgufHeaderReader();
  let isGguf = false;
  for (const chunk of fileChunks(path, MAX_CONFIG_BYTES + 1)) {
    isGguf ||= chunk.length >= 4 && chunk.readUInt32LE() === GGUF_MAGIC;
    if (!isGguf) return readConfig(path, chunk);
    const state = header.push(chunk);
    if (state.state === 'bad') return refuse(`${state.field} ${state.problem}`);
    if (state.state === 'done') {
      return { ok: true, value: { kind: 'gguf', path, metadata: state.header.metadata } };
    }
  }
  if (!isGguf) return readConfig(path, Buffer.alloc(0));
  const { field, problem } = header.cutOff();
  return refuse(`${field} ${problem}`);
}

function readConfig(path: string, bytes: Buffer): Parsed<ModelFile> {
  if (bytes.length > MAX_CONFIG_BYTES) {
    return refuse(`is no GGUF file, and larger than ${MAX_CONFIG_BYTES / 1024} KiB`);
  }
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof json === 'object' && json !== null && !Array.isArray(json)
      ? { ok: true, value: { kind: 'config', path, json } }
      : refuse("must be a JSON object, as in a model's config.json");
  } catch {
    return refuse("is neither JSON nor GGUF; a model's config.json or GGUF file is wanted");
  }
}

function refuse(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}
