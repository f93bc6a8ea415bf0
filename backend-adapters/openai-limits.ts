/**
 * How many tokens a body lets the engine generate, by the engine's own rules
 * of precedence. Parser and rewriter both ask here, so they can't disagree.
 */
import type { RequestKind } from './adapter.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import type { RequestFields } from './request-fields.ts';

/** The widest integer that the engines take. */
export const MAX_INT32 = 2 ** 31 - 1;

/** The part of a dialect that is about output, for one kind of body. */
export interface OutputRules {
  /** As `OpenAiDialect.outputLimits`. */
  readonly names: readonly [...string[], string];
  /** The engine's own limit where a body has none of the names, be it with null. */
  readonly defaultTokens: number | null;
  /** As `OpenAiDialect.ignoredOutputLimit`. */
  readonly ignored: string | null;
  /** As `OpenAiDialect.outputFloor`. */
  readonly floor: string | null;
}

export interface OutputLimit {
  /** Tokens after which the engine stops a sequence; null: at the end of its context. */
  readonly engine: number | null;
  /** What the caller meant: `engine`, or the limit that the engine would ignore. */
  readonly asked: number | null;
}

/** Null where the engine has no bodies of the kind, or they have no output. */
export function outputRules(dialect: OpenAiDialect, kind: RequestKind): OutputRules | null {
  const { outputLimits, responses, messages } = dialect;
  const newer = { ignored: null, floor: null };
  switch (kind) {
    case 'chat':
    case 'completion':
      return {
        names: outputLimits[kind],
        defaultTokens: kind === 'completion' ? dialect.completionDefaultTokens : null,
        ignored: dialect.ignoredOutputLimit,
        floor: dialect.outputFloor,
      };
    case 'responses':
      if (responses === null) return null;
      return { ...newer, names: responses.outputLimits, defaultTokens: responses.defaultTokens };
    case 'messages': {
      if (messages === null) return null;
      const { missingLimit } = messages;
      const defaultTokens = missingLimit === 'required' ? null : missingLimit;
      return { ...newer, names: ['max_tokens'], defaultTokens };
    }
    default:
      return null;
  }
}

/** Reads every alias, so that a wrong one is refused even where another one holds. */
export function outputLimit(
  fields: RequestFields,
  dialect: OpenAiDialect,
  kind: RequestKind,
): OutputLimit {
  const rules = outputRules(dialect, kind);
  if (rules === null) return { engine: null, asked: null };
  const values = rules.names.map((name) => limitValue(fields, dialect, kind, name));
  const first = values.find((value) => value !== null) ?? null;
  const named = rules.names.some((name) => fields.isPresent(name));
  const engine = first === -1 ? null : (first ?? (named ? null : rules.defaultTokens));
  const ignored = rules.ignored === null ? null : limitValue(fields, dialect, kind, rules.ignored);
  return { engine, asked: engine ?? ignored };
}

/** One alias: tokens, -1 where that means no limit, null where it is absent or wrong. */
export function limitValue(
  fields: RequestFields,
  dialect: OpenAiDialect,
  kind: RequestKind,
  name: string,
): number | null {
  const zeroAllowed = kind === 'completion' && dialect.allowsPrefillOnly;
  const least = zeroAllowed ? 0 : 1;
  const min = dialect.minusOneIsUnlimited ? -1 : least;
  const value = fields.integer(name, { min, max: MAX_INT32 });
  if (value === 0 && !zeroAllowed) fields.refuse(name, `${name} must be at least 1`);
  return value;
}
