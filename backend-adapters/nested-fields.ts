/**
 * Fields one level down, in an object that an engine takes for empty where it
 * is absent or null (`parameters`, `sampling_params`). The object is scanned
 * like a body of its own; a change in it is an edit of the whole member, in
 * which everything else stays byte for byte.
 */
import { JsonScanner } from '../proxy/json/scanner.ts';
import { splice } from '../proxy/json/splice.ts';
import type { Edit } from '../proxy/json/types.ts';
import type { InvalidRequest, ScannedRequest } from './adapter.ts';

/** The most a nested object may be written in: it is scanned in one go, and again to be changed. */
const MAX_NESTED_BYTES = 128 * 1024;

const EMPTY = new TextEncoder().encode('{}');

/** Member `key` as a request of its own, or why it can't be one. */
export function openNested(request: ScannedRequest, key: string): ScannedRequest | InvalidRequest {
  const member = request.object.members.get(key);
  const isAbsent = member === undefined || member.kind === 'null';
  if (!isAbsent && member.kind !== 'object') {
    return { invalid: `${key} must be an object`, param: key };
  }
  if (!isAbsent && member.valueEnd - member.valueStart > MAX_NESTED_BYTES) {
    return { invalid: `${key} must be written in at most ${MAX_NESTED_BYTES} bytes`, param: key };
  }
  const body = isAbsent ? EMPTY : request.body.subarray(member.valueStart, member.valueEnd);
  const scanner = new JsonScanner();
  scanner.push(body);
  const object = scanner.end();
  if ('code' in object) return { invalid: `${key}: ${object.message}`, param: key };
  return { route: request.route, body, object };
}

/** The edits of the nested object as one of the member that holds it; null when there are none. */
export function closeNested(
  key: string,
  nested: ScannedRequest,
  edits: readonly Edit[],
): Edit | null {
  if (edits.length === 0) return null;
  return { key, json: new TextDecoder().decode(splice(nested.body, nested.object, edits)) };
}

/** A mistake found inside, named by its path; messages begin with the field's name. */
export function nestedProblem(key: string, { invalid, param }: InvalidRequest): InvalidRequest {
  return param === null
    ? { invalid, param: key }
    : { invalid: `${key}.${invalid}`, param: `${key}.${param}` };
}
