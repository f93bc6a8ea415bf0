/** The models that Ollama has loaded (GET /api/ps) or could load (GET /api/tags). */
import type { EngineIo } from '../adapter.ts';
import { countField, getJson, listField, parseJson, stringField } from '../engine-answer.ts';

/** Ollama loads three a GPU unless told otherwise; more than these are not looked at. */
const MAX_MODELS = 16;

export interface LoadedModel {
  readonly name: string;
  /** Of each of its slots. */
  readonly contextTokens: number;
  readonly vramBytes: number;
  readonly family: string | null;
}

/** The model by which a server is described. */
export interface DescribedModel {
  readonly name: string;
  readonly family: string | null;
  /** null while it is not loaded. */
  readonly contextTokens: number | null;
  /** Its /api/show; null where that can't be had. */
  readonly shown: unknown;
}

/** Largest in GPU memory first. @throws when /api/ps does not answer as Ollama's does */
export async function loadedModels(
  io: EngineIo,
  signal: AbortSignal,
): Promise<readonly LoadedModel[]> {
  const models = listField(await getJson(io, '/api/ps', signal), 'models').slice(0, MAX_MODELS);
  return models
    .flatMap((model) => {
      const name = stringField(model, 'name');
      const contextTokens = countField(model, 'context_length');
      if (name === null || contextTokens === null || contextTokens === 0) return [];
      const vramBytes = countField(model, 'size_vram') ?? 0;
      return [{ name, contextTokens, vramBytes, family: familyOf(model) }];
    })
    .sort((a, b) => b.vramBytes - a.vramBytes);
}

/** Those that run here, the one that was changed last first; a remote one has no file of its own. */
export async function installedModels(
  io: EngineIo,
  signal: AbortSignal,
): Promise<readonly { readonly name: string; readonly family: string | null }[]> {
  const models = listField(await getJson(io, '/api/tags', signal), 'models');
  return models
    .filter((model) => stringField(model, 'remote_host') === null)
    .flatMap((model) => {
      const name = stringField(model, 'name');
      return name === null ? [] : [{ name, family: familyOf(model) }];
    });
}

/** The answer of POST /api/show; null where it can't be had. */
export async function showModel(io: EngineIo, name: string, signal: AbortSignal): Promise<unknown> {
  const reply = await io.post('/api/show', JSON.stringify({ model: name }), signal);
  return reply.status === 200 ? (parseJson(reply.body) ?? null) : null;
}

/** Whether it can generate; taken to be so where an old version does not say. */
export function completes(shown: unknown): boolean {
  const capabilities = listField(shown, 'capabilities');
  return capabilities.length === 0 || capabilities.includes('completion');
}

function familyOf(model: unknown): string | null {
  const details = typeof model === 'object' && model !== null && 'details' in model;
  return details ? stringField(model.details, 'family') : null;
}
