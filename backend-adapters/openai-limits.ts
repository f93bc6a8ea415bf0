/**
 * How many tokens a body lets the engine generate, by the engine's own rules
 * of precedence. Parser and rewriter both ask here, so they can't disagree.
 */
import type { OpenAiDialect, RequestKind } from './openai-dialect.ts';
import type { RequestFields } from './request-fields.ts';

/** The widest integer that the engines take. */
export const MAX_INT32 = 2 ** 31 - 1;

export interface OutputLimit {
  /** Tokens after which the engine stops a sequence; null: at the end of its context. */
  readonly engine: number | null;
  /** What the caller meant: `engine`, or the limit that the engine would ignore. */
  readonly asked: number | null;
}

/** Reads every alias, so that a wrong one is refused even where another one holds. */
export function outputLimit(
  fields: RequestFields,
  dialect: OpenAiDialect,
  kind: RequestKind,
): OutputLimit {
  const names = dialect.outputLimits[kind];
  const values = names.map((name) => limitValue(fields, dialect, kind, name));
  const first = values.find((value) => value !== null) ?? null;
  const named = names.some((name) => fields.isPresent(name));
  const fallback = kind === 'completion' && !named ? dialect.completionDefaultTokens : null;
  const engine = first === -1 ? null : (first ?? fallback);
  const ignored =
    dialect.ignoredOutputLimit === null
      ? null
      : limitValue(fields, dialect, kind, dialect.ignoredOutputLimit);
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
