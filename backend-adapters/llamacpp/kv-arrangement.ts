/**
 * How llama-server shares its KV cells between slots, and of what type they
 * are. No endpoint tells either (server-context.cpp, /props), so it comes from
 * the operator or from the server's command line. Whatever stays unknown is
 * taken as the arrangement in which a wrong guess only costs room: one pool of
 * a single slot's context.
 */
import type { KvTypes } from '../../proxy/memory/kv-layout.ts';
import type { EngineHints } from '../adapter.ts';
import { flagInteger, flagSwitch, flagValue } from '../command-line.ts';
import { bytesPerElement, DEFAULT_BYTES_PER_ELEMENT } from './kv-cache-type.ts';

export interface KvArrangement extends CellType {
  readonly unified: boolean;
  readonly warnings: readonly string[];
}

interface CellType {
  /** Of the wider of the types of keys and values. */
  readonly kvBytesPerElement: number;
  /** Where they differ. */
  readonly kvTypes?: KvTypes;
}

interface CellSharing {
  readonly unified: boolean;
  readonly warning: string | null;
}

export interface SlotSizes {
  readonly slots: number;
  /** `n_ctx` of one slot, as /props reports it. */
  readonly slotTokens: number;
}

/** llama.cpp rounds a slot's share of the context up to this many cells (llama-context.cpp). */
const CONTEXT_ROUNDING = 256;

const PER_SLOT = '--kv-unified-per-slot';

const UNSEEN_SWITCH =
  'its slots are taken as separate because -np is on its command line: if LLAMA_ARG_KV_UNIFIED is set in its environment, pass --kv-layout unified';
const CAPPED_SLOTS =
  'with --kv-unified-per-slot and a pool that does not hold the context of every slot, no more of the pool is used than one slot may: start it without -c, or with one of that size';

export function kvArrangement(
  hints: EngineHints,
  args: readonly string[] | null,
  sizes: SlotSizes,
): KvArrangement {
  const sharing = cellSharing(hints, args, sizes);
  const { warning, ...type } = cellType(hints, args);
  const warnings = [sharing.warning, warning].filter((each) => each !== null);
  return { unified: sharing.unified, ...type, warnings };
}

/**
 * llama-server's own rule (server.cpp): without -np it opens 4 slots over one
 * unified pool, with -np every slot has its own part unless --kv-unified is given.
 */
function cellSharing(
  hints: EngineHints,
  args: readonly string[] | null,
  { slots, slotTokens }: SlotSizes,
): CellSharing {
  if (hints.kvLayout !== 'auto') return { unified: hints.kvLayout === 'unified', warning: null };
  if (slots === 1) return { unified: false, warning: null };
  if (args === null) {
    return {
      unified: true,
      warning: `the server's command line can't be seen, so its ${slots} slots are assumed to share one pool of ${slotTokens} tokens: if -np was given without --kv-unified, pass --kv-layout split to use the context of every slot`,
    };
  }
  if (!asksForOnePool(args, slots, slotTokens)) return separate(args);
  if (!args.some((arg) => arg.startsWith(PER_SLOT))) return { unified: true, warning: null };
  // A slot may use this much and no more, so a pool that holds it for every slot can't run over.
  const context = flagInteger(args, ['-c', '--ctx-size']) ?? 0;
  if (context === 0 || context >= slots * slotTokens) return { unified: false, warning: null };
  return { unified: true, warning: CAPPED_SLOTS };
}

function asksForOnePool(args: readonly string[], slots: number, slotTokens: number): boolean {
  const asked = flagSwitch(args, ['-kvu', '--kv-unified'], ['-no-kvu', '--no-kv-unified']);
  if (asked !== null) return asked;
  if ((flagInteger(args, ['-np', '--parallel']) ?? -1) < 1) return true;
  const context = flagInteger(args, ['-c', '--ctx-size']) ?? 0;
  // LLAMA_ARG_KV_UNIFIED may be set out of sight; a slot larger than its part shows it.
  const part = Math.ceil(context / slots / CONTEXT_ROUNDING) * CONTEXT_ROUNDING;
  return context > 0 && slotTokens > part;
}

function separate(args: readonly string[]): CellSharing {
  const asked = args.some((arg) => arg === '-no-kvu' || arg === '--no-kv-unified');
  const context = flagInteger(args, ['-c', '--ctx-size']) ?? 0;
  const isCertain = asked || context > 0;
  return { unified: false, warning: isCertain ? null : UNSEEN_SWITCH };
}

function cellType(
  hints: EngineHints,
  args: readonly string[] | null,
): CellType & { readonly warning: string | null } {
  if (hints.kvBytesPerElement !== null) {
    return { kvBytesPerElement: hints.kvBytesPerElement, warning: null };
  }
  if (args === null) {
    return {
      kvBytesPerElement: DEFAULT_BYTES_PER_ELEMENT,
      warning: 'the KV cache type is taken as f16: if -ctk or -ctv was given, pass --kv-dtype',
    };
  }
  const key = typeNamed(flagValue(args, ['-ctk', '--cache-type-k']));
  const value = typeNamed(flagValue(args, ['-ctv', '--cache-type-v']));
  const unknown = key.unknown ?? value.unknown;
  return {
    kvBytesPerElement: Math.max(key.bytes, value.bytes),
    ...(key.bytes === value.bytes
      ? {}
      : { kvTypes: { keyBytesPerElement: key.bytes, valueBytesPerElement: value.bytes } }),
    warning:
      unknown === null
        ? null
        : `the KV cache type ${unknown} is not known: pass --kv-dtype, 2 bytes an element are assumed`,
  };
}

function typeNamed(name: string | null): { bytes: number; unknown: string | null } {
  const bytes = name === null ? DEFAULT_BYTES_PER_ELEMENT : bytesPerElement(name);
  return { bytes: bytes ?? DEFAULT_BYTES_PER_ELEMENT, unknown: bytes === null ? name : null };
}
