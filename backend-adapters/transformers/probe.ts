/**
 * What `transformers serve` is. It tells almost nothing: its list of models is
 * that of the local cache, so the model it serves is taken from the operator,
 * from its command line, or from a list of one.
 */
import type { DynamicLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineHints, EngineIo, EngineReply, ProbeResult } from '../adapter.ts';
import { flagSwitch } from '../command-line.ts';
import {
  EngineAnswerError,
  faultText,
  listField,
  stringField,
  tryGetJson,
} from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel } from '../known-model.ts';
import { knownMedia } from '../media.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';

const BYTES_OF_BF16 = 2;

const NO_GEOMETRY =
  "its KV grows with every request and the model's geometry is not known, so it can't be guarded: pass --model-config with the model's config.json";
const PAGED =
  'it was started with --continuous-batching, which holds KV in a fixed pool that no endpoint describes: start it without';

/** Its command line is read by typer (src/transformers/cli/serve.py). */
const PAGED_FLAGS = ['--continuous-batching'];
const UNPAGED_FLAGS = ['--no-continuous-batching'];

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeTransformers(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    await checkHealth(io, signal);
    const args = await io.commandLine();
    if (args !== null && flagSwitch(args, PAGED_FLAGS, UNPAGED_FLAGS) === true) {
      return { ok: false, state: 'unusable', why: PAGED };
    }
    const ids = listField(await tryGetJson(io, '/v1/models', signal), 'data').map((model) =>
      stringField(model, 'id'),
    );
    const served = servedModel(args) ?? (ids.length === 1 ? (ids[0] ?? null) : null);
    const spec = knownModel(hints, [served]);
    if (spec === null) return { ok: false, state: 'unusable', why: NO_GEOMETRY };
    const layout: DynamicLayout = {
      model: 'dynamic',
      spec,
      kvBytesPerElement: hints.kvBytesPerElement ?? BYTES_OF_BF16,
      attention: hints.attention,
    };
    const facts = {
      layout,
      modelId: served ?? spec.id,
      version: null,
      ranks: 1,
      media: knownMedia(spec, hints),
      warnings: servedModel(args) === null ? [notPinned(args)] : [],
      framing: DEFAULT_FRAMING,
    };
    return { ok: true, facts, reading: UNKNOWN_READING };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

/** @throws EngineAnswerError unless it answers 200, as it does while anything works at all */
export async function checkHealth(io: EngineIo, signal: AbortSignal): Promise<EngineReply> {
  const health = await io.get('/health', signal);
  if (health.status !== 200) throw new EngineAnswerError('/health', health, '200');
  return health;
}

/** The model pinned by `transformers serve MODEL`; null where none is. */
function servedModel(args: readonly string[] | null): string | null {
  const model = args?.[args.indexOf('serve') + 1];
  return args === null || !args.includes('serve') || model === undefined || model.startsWith('-')
    ? null
    : model;
}

/** Without a pinned model any request may make it load one more (model_manager.py). */
function notPinned(args: readonly string[] | null): string {
  const seen =
    args === null
      ? "its command line can't be seen, so it may serve any model that a request names"
      : 'no model is pinned, so it loads any model that a request names';
  return `${seen}, into memory that kvgate counts as free: start it as \`transformers serve MODEL\``;
}
