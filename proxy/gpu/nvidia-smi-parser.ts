/**
 * Reads one line of `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`.
 * A value that cannot be read becomes null with a reason, never 0.
 */
import type { GpuReading } from '../state/gpu-source.ts';
import { MIG_PARENT, SHARES_MEMORY } from './unknown-why.ts';

/**
 * The columns, in order. The last one is a fixed word, so it is also the proof
 * that a line was not cut off in the middle of a number.
 */
export const SMI_QUERY_FIELDS = [
  'index',
  'uuid',
  'name',
  'memory.total',
  'memory.used',
  'utilization.gpu',
  'mig.mode.current',
] as const;

/** A longer line is no GPU line; a reader need not keep more of it than this and one character. */
export const MAX_LINE_CHARS = 4096;

export type SmiLine =
  | { readonly kind: 'gpu'; readonly reading: GpuReading }
  | { readonly kind: 'garbage'; readonly why: string };

const SHOWN_CHARS = 200;
const MIB = 2 ** 20;
/** 16 TiB: no GPU comes near, so a larger figure is a misread one. */
const MAX_MIB = 2 ** 24;

const INDEX = /^\d{1,3}$/;
const UUID = /^GPU-[0-9A-Za-z-]{1,64}$/;
const WHOLE_NUMBER = /^\d{1,15}$/;
/** `[N/A]`, `[Not Supported]`, `[Unknown Error]`, `[GPU requires reset]`, ... */
const UNREADABLE = /^(\[[^\]]+\]|N\/A)$/;
const NOT_SUPPORTED = new Set(['[N/A]', 'N/A', '[Not Supported]']);
/** A GPU that has no MIG at all answers one of these. */
const WITHOUT_MIG = new Set(['Disabled', ...NOT_SUPPORTED]);

/**
 * @param line one line of output, memory in MiB, without or with its line end
 * @returns the GPU's reading in bytes, or why the line is not one: a driver's
 *   error message, a cut line, a row with other columns
 */
export function parseLine(line: string): SmiLine {
  const text = line.trim();
  if (text.length === 0) return { kind: 'garbage', why: 'an empty line' };
  if (text.length > MAX_LINE_CHARS) {
    return garbage(`a line of more than ${MAX_LINE_CHARS} characters`, text);
  }

  // A GPU's name may contain the separator: take the fixed columns from both ends.
  const fields = text.split(', ');
  const [index, uuid] = fields;
  const name = fields.slice(2, -4).join(', ');
  const [total, used, utilization, mig] = fields.slice(-4);
  if (
    name === '' ||
    index === undefined ||
    uuid === undefined ||
    total === undefined ||
    used === undefined ||
    utilization === undefined ||
    mig === undefined ||
    !INDEX.test(index) ||
    !UUID.test(uuid) ||
    !(mig === 'Enabled' || mig === 'Disabled' || UNREADABLE.test(mig))
  ) {
    return garbage('not a line about a GPU', text);
  }

  const reading = {
    uuid,
    index: Number(index),
    name: printable(name),
    ...readMemory(total, used, mig),
    utilizationPercent: readPercent(utilization),
    // A query by GPU tells no processes.
    processes: null,
  };
  return { kind: 'gpu', reading };
}

type Memory = Pick<GpuReading, 'totalBytes' | 'usedBytes' | 'unknownWhy'>;

function readMemory(totalText: string, usedText: string, mig: string): Memory {
  if (mig === 'Enabled') {
    return unknownMemory(MIG_PARENT);
  }
  const totalMib = readMib(totalText);
  const usedMib = readMib(usedText);
  // A total of 0 is how some drivers say that the GPU has no memory of its own.
  if (totalMib === 0 || NOT_SUPPORTED.has(totalText)) return unknownMemory(SHARES_MEMORY);
  if (totalMib === null) return unknownMemory(`memory.total is ${quoted(totalText)}`);
  if (usedMib === null) {
    const unknownWhy = `memory.used is ${quoted(usedText)}`;
    return { totalBytes: totalMib * MIB, usedBytes: null, unknownWhy };
  }
  if (usedMib > totalMib) {
    return unknownMemory(`memory.used (${usedMib} MiB) exceeds memory.total (${totalMib} MiB)`);
  }
  if (!WITHOUT_MIG.has(mig)) return unknownMemory(`mig.mode.current is ${quoted(mig)}`);
  return { totalBytes: totalMib * MIB, usedBytes: usedMib * MIB, unknownWhy: null };
}

function unknownMemory(unknownWhy: string): Memory {
  return { totalBytes: null, usedBytes: null, unknownWhy };
}

function readMib(text: string): number | null {
  if (!WHOLE_NUMBER.test(text)) return null;
  const mib = Number(text);
  return mib <= MAX_MIB ? mib : null;
}

function readPercent(text: string): number | null {
  if (!WHOLE_NUMBER.test(text)) return null;
  const percent = Number(text);
  return percent <= 100 ? percent : null;
}

function garbage(what: string, text: string): SmiLine {
  return { kind: 'garbage', why: `${what}: ${quoted(text)}` };
}

function quoted(text: string): string {
  return `"${printable(text)}"`;
}

/** Bounded, and free of control characters and halves of a pair: it goes into logs and labels. */
function printable(text: string): string {
  return text.slice(0, SHOWN_CHARS).replace(/[\p{Cc}\p{Cs}]/gu, '?');
}
