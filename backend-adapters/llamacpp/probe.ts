/**
 * What llama-server is: its slots, its context and its model, read once after
 * it came up (server-context.cpp, /props; server-models.cpp for the router).
 */
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineFacts, EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import {
  countField,
  faultText,
  field,
  getJson,
  listField,
  stringField,
  tryGetJson,
} from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel, UNKNOWN_GEOMETRY } from '../known-model.ts';
import { measuredFraming } from './count-tokens.ts';
import { kvArrangement, type SlotSizes } from './kv-arrangement.ts';
import { readSlots } from './slots.ts';

const HIDDEN_SLOTS =
  "the server hides its slots, so work that did not come through kvgate can't be seen: start it without --no-slots";
const ENDLESS_OUTPUT =
  'the server was started with --context-shift, so a request without max tokens may run for ever: start it without';

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeLlamaServer(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const health = await io.get('/health', signal);
    if (health.status === 503) return { ok: false, state: 'loading', why: 'loading its model' };
    return await describe(io, hints, signal);
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

async function describe(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const props = await getJson(io, '/props', signal);
  if (stringField(props, 'role') === 'router') {
    return {
      ok: false,
      state: 'unusable',
      why: 'it is a llama.cpp router, which starts servers of its own: name those as backends',
    };
  }
  const sizes = slotSizes(props);
  if (sizes === null) {
    return { ok: false, state: 'unreachable', why: '/props tells no slots, as llama-server would' };
  }
  const args = await io.commandLine();
  const facts = await factsOf(io, hints, { props, sizes, args }, signal);
  const reading = await readSlots(io, facts.layout, signal);
  if (reading.state === 'loading') return { ok: false, state: 'loading', why: 'loading its model' };
  const hidden = reading.runningSequences === null ? [HIDDEN_SLOTS] : [];
  return { ok: true, facts: { ...facts, warnings: [...facts.warnings, ...hidden] }, reading };
}

/** null where /props is not llama-server's. */
function slotSizes(props: unknown): SlotSizes | null {
  const slots = countField(props, 'total_slots');
  const slotTokens = countField(field(props, 'default_generation_settings'), 'n_ctx');
  return slots === null || slots === 0 || slotTokens === null || slotTokens === 0
    ? null
    : { slots, slotTokens };
}

async function factsOf(
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
  const spec = knownModel(hints, [alias, id, path]);
  const arrangement = kvArrangement(hints, args, sizes);
  const layout: SlotsLayout = {
    model: 'slots',
    spec,
    kvBytesPerElement: arrangement.kvBytesPerElement,
    unified: arrangement.unified,
    slots: sizes.slots,
    contextTokens: sizes.slotTokens,
  };
  const warnings = [
    ...arrangement.warnings,
    ...(spec === null ? [UNKNOWN_GEOMETRY] : []),
    ...(args?.includes('--context-shift') ? [ENDLESS_OUTPUT] : []),
  ];
  return {
    layout,
    modelId: id ?? alias ?? path ?? 'unknown',
    warnings,
    framing: (await framingOrNull(io, signal)) ?? DEFAULT_FRAMING,
  };
}

/** A template may refuse the sample chats; the default holds then. */
async function framingOrNull(
  io: EngineIo,
  signal: AbortSignal,
): ReturnType<typeof measuredFraming> {
  return measuredFraming(io, signal).catch(() => null);
}
