/**
 * Reads a whole JSON answer for what kvgate wants of it. Usage is a few numbers,
 * however long the rest is: of a long answer only short members are parsed.
 */
import { smallValue } from '../json/splice.ts';
import type { ScannedObject } from '../json/types.ts';
import type { LoopShare } from './loop-share.ts';
import { scanInSlices } from './scan-in-slices.ts';

/** To parse more at once would hold up everybody else. */
const MAX_PARSED_BYTES = 512 * 1024;
/** Of a longer answer: of each member that is parsed all the same. */
const MAX_MEMBER_BYTES = 4 * 1024;

export interface ReadAnswer {
  /** As parsed; of a long answer an object of its short members; null: no JSON, or none that can be read. */
  readonly value: unknown;
  /** null: no JSON object. */
  readonly object: ScannedObject | null;
}

export async function readAnswer(answer: Buffer, share: LoopShare): Promise<ReadAnswer> {
  const scanned = await scanInSlices(share, answer);
  const object = 'code' in scanned ? null : scanned;
  if (answer.length <= MAX_PARSED_BYTES) return { value: parsed(answer), object };
  return { value: object === null ? null : shortMembers(answer, object), object };
}

function parsed(answer: Buffer): unknown {
  try {
    return JSON.parse(answer.toString('utf8'));
  } catch {
    return null;
  }
}

function shortMembers(answer: Buffer, { members }: ScannedObject): object {
  return Object.fromEntries(
    [...members.values()]
      .filter(({ valueStart, valueEnd }) => valueEnd - valueStart <= MAX_MEMBER_BYTES)
      .map((member) => [member.key, smallValue(answer, member, MAX_MEMBER_BYTES)]),
  );
}
