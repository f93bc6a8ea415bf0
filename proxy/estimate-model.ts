/** The model that `kvgate estimate` is asked about: named, or described by its own file. */
import { statSync } from 'node:fs';
import type { Problem } from './config/problem.ts';
import { readModelFile } from './config/read-model-file.ts';
import type { EstimateValues } from './estimate-layout.ts';
import { findModel } from './memory/catalog/catalog.ts';
import type { GgufMetadata } from './memory/gguf/metadata.ts';
import { specFromModelFile } from './memory/models/model-file.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import { knownWeightBytes } from './memory/models/weights.ts';

const GIB = 1024 ** 3;

export interface AskedModel {
  readonly spec: ModelSpec;
  /** Over all GPUs; null where nobody tells. */
  readonly weightBytes: number | null;
}

export function askedModel(values: EstimateValues): AskedModel | Problem {
  const [field, second] = (['model', 'model-config', 'gguf'] as const).filter(
    (name) => values[name] !== null,
  );
  if (field === undefined) {
    const message = 'is needed: the name of a model, or --model-config or --gguf with its file';
    return problem('model', message);
  }
  if (second !== undefined) return problem(second, `can't be given beside --${field}`);
  const told = values['weights-gb'] === null ? null : values['weights-gb'] * GIB;
  const name = values[field] ?? '';
  if (field !== 'model') return modelInFile(field, name, told);
  const spec = findModel(name);
  if (spec !== null) return { spec, weightBytes: told ?? knownWeightBytes(spec) };
  const message = 'is not known: pass its config.json or GGUF file with --model-config';
  return problem('model', `${name.slice(0, 200)} ${message}`);
}

function modelInFile(
  field: 'model-config' | 'gguf',
  path: string,
  told: number | null,
): AskedModel | Problem {
  try {
    const file = readModelFile(path);
    if (!file.ok) return problem(field, `${path} ${file.why}`);
    if (field === 'gguf' && file.value.kind !== 'gguf') {
      return problem(field, `${path} is no GGUF file`);
    }
    const read = specFromModelFile(file.value);
    if (!read.ok) return problem(field, `${path}: ${read.field}: ${read.problem}`);
    const fileBytes = file.value.kind === 'gguf' ? ggufBytes(path, file.value.metadata) : null;
    return { spec: read.spec, weightBytes: told ?? fileBytes ?? knownWeightBytes(read.spec) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return problem(field, `${path} can't be read: ${why}`);
  }
}

/** As gguf-split names the first of several files (llama.cpp: llama_split_path). */
const FIRST_PART = /-00001-of-(\d{5})\.gguf$/;

/** A GGUF file is weights and little else. null where one of its parts is not there. */
function ggufBytes(path: string, metadata: GgufMetadata): number | null {
  const parts = metadata.get('split.count') ?? 1;
  if (parts === 1 || parts === 0) return statSync(path).size;
  const total = FIRST_PART.exec(path)?.[1];
  if (total === undefined || Number(total) !== parts) return null;
  let bytes = 0;
  for (let part = 1; part <= parts; part += 1) {
    const name = `-${String(part).padStart(5, '0')}-of-${total}.gguf`;
    const file = statSync(path.replace(FIRST_PART, name), { throwIfNoEntry: false });
    if (file === undefined) return null;
    bytes += file.size;
  }
  return bytes;
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}
