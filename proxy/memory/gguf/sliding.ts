/** Which layers of a GGUF model slide, and over how many tokens. */
import type { Architecture, SlidingRule } from './architectures.ts';
import { GGUF_MAX, type GgufFields } from './fields.ts';

const WINDOW = 'attention.sliding_window';
const PATTERN = 'attention.sliding_window_pattern';

export interface SlidingLayers {
  /** null for a layer with full attention. */
  windowTokens(layer: number): number | null;
  readonly chunked: boolean;
}

const NONE: SlidingLayers = { windowTokens: () => null, chunked: false };

/**
 * An architecture that is known and has no rule keeps its layers full, whatever
 * its file says. One that is not known has to say which layers slide.
 */
export function slidingLayers(
  fields: GgufFields,
  known: Architecture | null,
  layers: number,
): SlidingLayers {
  const rule = known === null ? ruleOfUnknown(fields) : known.sliding;
  if (rule === undefined) return NONE;
  if (rule.onlyLayers !== undefined && rule.onlyLayers !== layers) return NONE;
  const windowTokens = windowOf(fields, rule);
  if (windowTokens === null) return NONE;
  const slides = patternOf(fields, rule, layers);
  return {
    windowTokens: (layer) => (slides(layer) ? windowTokens : null),
    chunked: rule.chunked === true,
  };
}

function ruleOfUnknown(fields: GgufFields): SlidingRule | undefined {
  if (fields.nonzero(WINDOW, GGUF_MAX.contextTokens) === null) return undefined;
  if (fields.raw(PATTERN) === null) {
    fields.reject(WINDOW, `is set, but which layers of ${fields.architecture} slide is not known`);
  }
  return { fullEvery: null, unset: 'full' };
}

/** null: no layer slides. */
function windowOf(fields: GgufFields, { unset, windowTokens }: SlidingRule): number | null {
  if (unset === 'required') return fields.required(WINDOW, GGUF_MAX.contextTokens);
  const told = fields.nonzero(WINDOW, GGUF_MAX.contextTokens);
  if (told === null) {
    return unset === 'full' || fields.raw(WINDOW) === 0 ? null : (windowTokens ?? unset);
  }
  return windowTokens ?? told;
}

function patternOf(
  fields: GgufFields,
  { fullEvery, fullFirst }: SlidingRule,
  layers: number,
): (layer: number) => boolean {
  const flags = fields.flags(PATTERN, layers);
  if (flags !== null) return (layer) => flags[layer] === true;
  const told = fields.raw(PATTERN);
  // Where the file has a list that was wrong, there is a problem already.
  const every = Array.isArray(told)
    ? 0
    : told === 0
      ? 0
      : (fields.optional(PATTERN, GGUF_MAX.layers) ?? fullEvery);
  if (every === null) {
    fields.reject(PATTERN, 'is missing');
    return () => false;
  }
  if (every === 0) return () => true;
  return (layer) => layer % every !== (fullFirst === true ? 0 : every - 1);
}
