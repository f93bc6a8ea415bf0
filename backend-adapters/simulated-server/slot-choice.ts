/** Which slot llama-server gives a task to (server-context.cpp, get_available_slot). */
import type { Sequence } from './engine.ts';
import type { Slot } from './slot.ts';

/** `--slot-prompt-similarity`: below it a prompt goes to the least recently used slot. */
const MIN_SIMILARITY = 0.1;

/** By `id_slot`, else by the longest common prefix, else the least recently used; null: wait. */
export function chooseSlot(slots: readonly Slot[], sequence: Sequence): Slot | null {
  const idle = slots.filter((slot) => !slot.isProcessing);
  if (sequence.slot !== null) {
    const wanted = sequence.slot % slots.length;
    return idle.find((slot) => slot.id === wanted) ?? null;
  }
  const byPrefix = idle
    .map((slot) => ({ slot, common: slot.commonPrefix(sequence.prompt) }))
    .filter(({ common }) => common > MIN_SIMILARITY * sequence.prompt.length)
    .sort((one, other) => other.common - one.common);
  const byUse = idle.sort((one, other) => one.lastUse - other.lastUse);
  return byPrefix[0]?.slot ?? byUse[0] ?? null;
}
