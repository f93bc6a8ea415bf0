/**
 * llama-server's moving state: `GET /slots`. Its metrics tell no KV usage, and
 * a second reader of /metrics would disturb the first.
 */
import type { EngineFacts, EngineIo, EngineReading } from '../adapter.ts';
import { countField, EngineAnswerError, field, parseJson } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';

/**
 * Loading is answered with 503 on every route. Where slots are hidden
 * (`--no-slots`: 501; builds without the route: 404), only health is known.
 * @throws EngineAnswerError on any other answer
 */
export async function readSlots(
  io: EngineIo,
  facts: Pick<EngineFacts, 'layout' | 'hostTier'>,
  signal: AbortSignal,
): Promise<EngineReading> {
  const { layout, hostTier = null } = facts;
  const known = { ...UNKNOWN_READING, ...constantsOf(layout), hostTier };
  const reply = await io.get('/slots', signal);
  if (reply.status === 503) return { ...known, state: 'loading' };
  if (reply.status === 501 || reply.status === 404) {
    const health = await io.get('/health', signal);
    if (health.status === 503) return { ...known, state: 'loading' };
    if (health.status === 200) return known;
    throw new EngineAnswerError('/health', health, '200 or 503');
  }
  const slots = reply.status === 200 ? parseJson(reply.body) : undefined;
  if (!Array.isArray(slots)) throw new EngineAnswerError('/slots', reply, '200 with a list');
  return { ...known, ...workOf(slots) };
}

function constantsOf(
  layout: EngineFacts['layout'],
): Pick<EngineReading, 'capacityUnits' | 'maxSequences'> {
  if (layout.model !== 'slots') return { capacityUnits: null, maxSequences: null };
  const { unified, slots, contextTokens } = layout;
  return { capacityUnits: unified ? contextTokens : slots * contextTokens, maxSequences: slots };
}

/** `n_prompt_tokens` is every token in a slot's cells, generated ones included. */
function workOf(slots: readonly unknown[]): Pick<EngineReading, 'usedUnits' | 'runningSequences'> {
  const states = slots.map((slot) => field(slot, 'is_processing'));
  if (!states.every((state) => typeof state === 'boolean')) {
    return { usedUnits: null, runningSequences: null };
  }
  const working = slots.filter((_, index) => states[index] === true);
  const cells = working.map((slot) => countField(slot, 'n_prompt_tokens'));
  const usedUnits = cells.includes(null)
    ? null
    : cells.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  return { usedUnits, runningSequences: working.length };
}
