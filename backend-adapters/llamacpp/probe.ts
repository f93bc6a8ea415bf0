/** Whether llama-server can be guarded, and by which facts; asked once after it came up. */
import type { EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import {
  EngineAnswerError,
  faultText,
  field,
  listField,
  parseJson,
  stringField,
  tryGetJson,
} from '../engine-answer.ts';
import { factsOf, slotSizes } from './facts.ts';
import { readSlots } from './slots.ts';

const LOADING: ProbeResult = { ok: false, state: 'loading', why: 'loading its model' };
const LOCKED: ProbeResult = {
  ok: false,
  state: 'unusable',
  why: 'it wants an API key and kvgate has none or a wrong one: pass --backend-api-key-file',
};
const NO_SLOTS: ProbeResult = {
  ok: false,
  state: 'unreachable',
  why: '/props tells no slots, as llama-server would',
};
const HIDDEN_SLOTS =
  "the server hides its slots, so work that did not come through kvgate can't be seen: start it without --no-slots";

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeLlamaServer(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const health = await io.get('/health', signal);
    if (health.status === 503) return LOADING;
    return await describe(io, hints, signal);
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

/** /health and /v1/models need no key, everything else does (server-http.cpp). */
async function describe(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const reply = await io.get('/props', signal);
  if (reply.status === 401 || reply.status === 403) return LOCKED;
  const props = reply.status === 200 ? parseJson(reply.body) : undefined;
  if (props === undefined) throw new EngineAnswerError('/props', reply, '200 with JSON');
  if (stringField(props, 'role') === 'router') return await routerRefused(io, signal);
  const sizes = slotSizes(props);
  if (sizes === null) return NO_SLOTS;
  const args = ownCommandLine(await io.commandLine(), props);
  const facts = await factsOf(io, hints, { props, sizes, args }, signal);
  const reading = await readSlots(io, facts, signal);
  if (reading.state === 'loading') return LOADING;
  const hidden = reading.runningSequences === null ? [HIDDEN_SLOTS] : [];
  return { ok: true, facts: { ...facts, warnings: [...facts.warnings, ...hidden] }, reading };
}

/** At its port may listen a proxy of somebody else's, whose options are not the server's. */
function ownCommandLine(args: readonly string[] | null, props: unknown): readonly string[] | null {
  const program = args?.[0]?.split('/').at(-1) ?? '';
  const model = stringField(props, 'model_path');
  return program.includes('llama') || (model !== null && args?.includes(model)) ? args : null;
}

/**
 * A router starts and stops a server for each model that is asked for, and
 * /v1/models tells the command line of each (server-models.cpp).
 */
async function routerRefused(io: EngineIo, signal: AbortSignal): Promise<ProbeResult> {
  const models = listField(await tryGetJson(io, '/v1/models', signal), 'data');
  const running = models.flatMap((model) => {
    const status = field(model, 'status');
    const args = listField(status, 'args');
    const port = args[args.indexOf('--port') + 1];
    return stringField(status, 'value') === 'loaded' && typeof port === 'string'
      ? [`${stringField(model, 'id')} on port ${port}`]
      : [];
  });
  const now = running.length === 0 ? 'none runs now' : `now: ${running.join(', ')}`;
  return {
    ok: false,
    state: 'unusable',
    why: `it is a llama.cpp router, which starts and stops a server for each model, so what it will take can't be told: name those servers as backends (${now}), or start llama-server with -m`,
  };
}
