/**
 * What llama-server is: its slots, its context and its model
 * (server-context.cpp, /props).
 *
 * Speculative decoding takes no cell beyond these: a draft ends at the tokens
 * that are still to come, or at the context of the slot (server-context.cpp,
 * get_n_draft_max), and a draft model's own cells are allocated at the start.
 */
import { withoutWindows } from '../../proxy/memory/engines/llamacpp-cells.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineFacts, EngineHints, EngineIo } from '../adapter.ts';
import { flagInteger } from '../command-line.ts';
import { countField, field, listField, stringField, tryGetJson } from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel, UNKNOWN_GEOMETRY } from '../known-model.ts';
import { ubatchOf } from './batch-size.ts';
import { measuredFraming } from './count-tokens.ts';
import { hostCache } from './host-cache.ts';
import { kvArrangement, type SlotSizes } from './kv-arrangement.ts';
import { mediaOf } from './media.ts';
import { isOfLoaded, specOfModelFile } from './model-file.ts';

const ENDLESS_OUTPUT =
  'the server was started with --context-shift, so a request without max tokens may run for ever: start it without';
const SLEEPLESS =
  'the server will not sleep, whatever --sleep-idle-seconds says: reading its slots wakes it, and kvgate reads them at every poll';
const UNCOUNTED =
  "its chats can't be counted (a build without /v1/chat/completions/input_tokens, or a template that takes no plain chat), so prompts are bounded by their bytes and fewer are admitted";

/** null where /props is not llama-server's. */
export function slotSizes(props: unknown): SlotSizes | null {
  const slots = countField(props, 'total_slots');
  const slotTokens = countField(field(props, 'default_generation_settings'), 'n_ctx');
  return slots === null || slots === 0 || slotTokens === null || slotTokens === 0
    ? null
    : { slots, slotTokens };
}

export async function factsOf(
  io: EngineIo,
  hints: EngineHints,
  seen: {
    readonly props: unknown;
    readonly sizes: SlotSizes;
    readonly args: readonly string[] | null;
  },
  signal: AbortSignal,
): Promise<EngineFacts> {
  const { props, sizes, args } = seen;
  const models = listField(await tryGetJson(io, '/v1/models', signal), 'data');
  const alias = stringField(props, 'model_alias');
  const path = stringField(props, 'model_path');
  const id = stringField(models[0], 'id');
  const file = await specOfModelFile(io, path, signal);
  const isLoaded = file !== null && isOfLoaded(file, field(models[0], 'meta'));
  // An alias is the operator's choice, the path says what was loaded.
  const named = knownModel(hints, [path, alias, id]);
  const spec = hints.modelSpec ?? (isLoaded ? file : named);
  const { warnings, ...arrangement } = kvArrangement(hints, args, sizes);
  const ubatchTokens = ubatchOf(args ?? []);
  const layout: SlotsLayout = {
    model: 'slots',
    spec: spec !== null && args?.includes('--swa-full') ? withoutWindows(spec) : spec,
    ...arrangement,
    slots: sizes.slots,
    contextTokens: sizes.slotTokens,
    ...(ubatchTokens === null ? {} : { ubatchTokens }),
  };
  // A template may refuse the sample chats; the default holds then.
  const framing = await measuredFraming(io, signal).catch(() => null);
  return {
    layout,
    modelId: id ?? alias ?? path ?? 'unknown',
    version: stringField(props, 'build_info'),
    ranks: 1,
    media: mediaOf(props, args, hints),
    warnings: [
      ...warnings,
      ...(spec === null ? [UNKNOWN_GEOMETRY] : []),
      ...(framing === null ? [UNCOUNTED] : []),
      ...startWarnings(args ?? []),
    ],
    framing: framing ?? DEFAULT_FRAMING,
    hostTier: hostCache(args),
  };
}

function startWarnings(args: readonly string[]): readonly string[] {
  const sleepSeconds = flagInteger(args, ['--sleep-idle-seconds']) ?? -1;
  return [
    ...(args.includes('--context-shift') ? [ENDLESS_OUTPUT] : []),
    ...(sleepSeconds > 0 ? [SLEEPLESS] : []),
  ];
}
