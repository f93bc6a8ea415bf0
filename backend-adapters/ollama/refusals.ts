/**
 * What no request may do through kvgate: load the model anew, unload it, or
 * name a field in a way that only Ollama understands.
 */
import type { InvalidRequest, ScannedRequest } from '../adapter.ts';
import { nestedProblem, openNested } from '../nested-fields.ts';
import { RequestFields } from '../request-fields.ts';

/** Every field that is read here or changed: none may come by another spelling. */
const FIELDS: ReadonlySet<string> = new Set([
  ...['model', 'messages', 'prompt', 'suffix', 'system', 'template', 'context', 'images', 'input'],
  ...['instructions', 'tools', 'options', 'stream', 'stream_options', 'keep_alive', 'shift'],
  ...['truncate', 'raw', 'format', 'response_format', 'text', 'think', 'thinking'],
  ...['max_tokens', 'max_output_tokens', 'temperature', 'top_p', '_debug_render_only'],
]);

/**
 * Options that make a runner: one that differs from the loaded model's loads it
 * anew (server/sched.go, needsReload; api/types.go, Runner; those after the
 * first line are of older versions).
 */
const RUNNER_OPTIONS = [
  ...['num_batch', 'num_gpu', 'main_gpu', 'use_mmap', 'num_thread', 'draft_num_predict'],
  ...['numa', 'low_vram', 'f16_kv', 'logits_all', 'vocab_only', 'use_mlock'],
];

const RELOADS = 'is not supported: it would load the model anew, under everyone who uses it';

/**
 * Go matches names of JSON fields whatever their case, the last one holds
 * (encoding/json): `Max_Tokens` would slip past every limit.
 */
export function misspeltField({ object }: ScannedRequest): InvalidRequest | null {
  for (const name of object.members.keys()) {
    const plain = name.toUpperCase().toLowerCase();
    if (plain !== name && FIELDS.has(plain)) {
      return { invalid: `${name} must be written ${plain}`, param: name };
    }
  }
  return null;
}

/** @param contextTokens of the loaded model: asking for just these changes nothing */
export function reloadingOption(
  request: ScannedRequest,
  contextTokens: number,
): InvalidRequest | null {
  if (new RequestFields(request).member('shift') !== null) {
    return { invalid: `shift ${RELOADS}`, param: 'shift' };
  }
  const options = openNested(request, 'options');
  if ('invalid' in options) return options;
  const fields = new RequestFields(options);
  const asked = fields.integer('num_ctx', { min: 0, max: 2 ** 31 - 1 });
  if (asked !== null && asked !== contextTokens) {
    fields.refuse(
      'num_ctx',
      `num_ctx must be ${contextTokens}, as loaded, or left out: any other value would load the model anew`,
    );
  }
  for (const name of RUNNER_OPTIONS) {
    if (fields.member(name) === null) continue;
    // -1 leaves the layers where they are.
    if (name === 'num_gpu' && fields.integer(name, { min: -1, max: 1024 }) === -1) continue;
    fields.refuse(name, `${name} ${RELOADS}`);
  }
  return fields.problem === null ? null : nestedProblem('options', fields.problem);
}

/**
 * A request without a prompt loads its model, or unloads it where it is to be
 * kept for no time at all (server/routes.go). A load is let through.
 */
export function unloads(fields: RequestFields): InvalidRequest | null {
  const keepAlive = fields.member('keep_alive');
  if (keepAlive === null) return null;
  const isKept =
    keepAlive.kind === 'number'
      ? fields.number('keep_alive', {
          words: 'of seconds, of 1 or more, or below 0, in a request without a prompt',
          includes: (seconds) => seconds >= 1 || seconds < 0,
        }) !== null
      : /^-|^0*[1-9]\d*(\.\d+)?(ms|s|m|h)/.test(fields.string('keep_alive') ?? '');
  if (isKept) return null;
  return {
    invalid:
      'keep_alive: a request without a prompt that keeps the model for no time unloads it, under everyone who uses it',
    param: 'keep_alive',
  };
}
