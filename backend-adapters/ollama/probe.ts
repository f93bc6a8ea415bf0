/**
 * What an Ollama server is. It is described by one model: the largest one that
 * is loaded and can generate, or, while none is, the one that was changed last.
 */
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineFacts, EngineHints, EngineIo, EngineReading, ProbeResult } from '../adapter.ts';
import { faultText, stringField, tryGetJson } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';
import { factsOf } from './facts.ts';
import { specOfModel } from './model-info.ts';
import {
  completes,
  type DescribedModel,
  installedModels,
  type LoadedModel,
  loadedModels,
  showModel,
} from './models.ts';

/** Of the installed ones, so many are looked at for one that can generate. */
const MAX_SHOWN = 8;
const NOTHING_INSTALLED = 'no model is installed: pull one';

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeOllama(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const loaded = await loadedModels(io, signal);
    const model = (await loadedThatCompletes(io, loaded, signal)) ?? (await installed(io, signal));
    if (model === null) return { ok: false, state: 'loading', why: NOTHING_INSTALLED };
    const version = stringField(await tryGetJson(io, '/api/version', signal), 'version');
    const facts = factsOf(model, hints, await io.commandLine(), {
      version,
      spec: await specOfModel(io, model, signal),
      alsoLoaded: loaded.map(({ name }) => name).filter((name) => name !== model.name),
    });
    return { ok: true, facts, reading: readingOf(facts.layout) };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

/**
 * A model that was loaded with another context, or in the place of the one that
 * is known, makes what is known of the server wrong: it then reads as loading,
 * and is described anew.
 * @throws when /api/ps does not answer as Ollama's does
 */
export async function readOllama(
  io: EngineIo,
  facts: EngineFacts,
  signal: AbortSignal,
): Promise<EngineReading> {
  const loaded = await loadedModels(io, signal);
  const same = loaded.find(({ name }) => name === facts.modelId);
  const { layout } = facts;
  const isAsKnown =
    same === undefined
      ? (await loadedThatCompletes(io, loaded, signal)) === null
      : layout.model === 'slots' && same.contextTokens === layout.contextTokens;
  return { ...readingOf(layout), state: isAsKnown ? 'ready' : 'loading' };
}

async function loadedThatCompletes(
  io: EngineIo,
  loaded: readonly LoadedModel[],
  signal: AbortSignal,
): Promise<DescribedModel | null> {
  for (const model of loaded) {
    const shown = await showModel(io, model.name, signal);
    if (completes(shown)) return { ...model, shown };
  }
  return null;
}

async function installed(io: EngineIo, signal: AbortSignal): Promise<DescribedModel | null> {
  for (const { name, family } of (await installedModels(io, signal)).slice(0, MAX_SHOWN)) {
    const shown = await showModel(io, name, signal);
    if (completes(shown)) return { name, family, contextTokens: null, shown };
  }
  return null;
}

/** Nothing tells what runs: the slots are all that is known. */
function readingOf(layout: EngineFacts['layout']): EngineReading {
  if (layout.model !== 'slots') return UNKNOWN_READING;
  const { slots, contextTokens }: SlotsLayout = layout;
  return { ...UNKNOWN_READING, capacityUnits: slots * contextTokens, maxSequences: slots };
}
