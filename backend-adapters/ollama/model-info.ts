/**
 * A model's geometry from POST /api/show: from `model_info`, the metadata of its
 * GGUF file as JSON, in which every list is null unless all of the vocabulary is
 * asked for (server/routes.go, getModelData; fs/ggml/gguf.go). Models whose
 * layers differ need such a list: then from the file that the Modelfile names.
 */
import type { GgufMetadata, GgufValue } from '../../proxy/memory/gguf/metadata.ts';
import { specFromGguf } from '../../proxy/memory/gguf/spec.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineIo } from '../adapter.ts';
import { field, stringField } from '../engine-answer.ts';
import { specOfModelFile } from '../llamacpp/model-file.ts';
import type { DescribedModel } from './models.ts';

/** Not told without the whole vocabulary; above any known, and only `dynamic` layouts ask for it. */
const ANY_VOCABULARY = 2 ** 18;
/** Far above the keys, and the layers, of any model. */
const MAX_KEYS = 4_096;
const MAX_LIST = 1_024;
const LEFT_OUT: GgufValue = { kind: 'array', elementType: null, length: null };

/** null where a number that KV depends on is missing or out of range: nothing is guessed. */
export async function specOfModel(
  io: EngineIo,
  { name, shown }: DescribedModel,
  signal: AbortSignal,
): Promise<ModelSpec | null> {
  const told = specFromModelInfo(field(shown, 'model_info'), name);
  if (told !== null) return told;
  // The first such line is the model, further ones are its projectors (server/images.go).
  const path = /^FROM (\/.+)$/m.exec(stringField(shown, 'modelfile') ?? '')?.[1] ?? null;
  const spec = await specOfModelFile(io, path, signal);
  return spec === null ? null : { ...spec, id: name };
}

function specFromModelInfo(info: unknown, id: string): ModelSpec | null {
  if (typeof info !== 'object' || info === null) return null;
  const metadata = metadataOf(info);
  const vocabulary = `${metadata.get('general.architecture')}.vocab_size`;
  const told = specFromGguf(
    metadata.has(vocabulary) ? metadata : new Map([...metadata, [vocabulary, ANY_VOCABULARY]]),
    '/api/show',
  );
  return told.ok ? { ...told.spec, id } : null;
}

function metadataOf(info: object): GgufMetadata {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of Object.entries(info).slice(0, MAX_KEYS)) {
    metadata.set(key, asGguf(value));
  }
  return metadata;
}

function asGguf(value: unknown): GgufValue {
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string') {
    return value;
  }
  return isList(value) && value.length > 0 ? value : LEFT_OUT;
}

function isList(value: unknown): value is readonly (number | boolean)[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_LIST &&
    value.every((entry) => typeof entry === 'number' || typeof entry === 'boolean')
  );
}
