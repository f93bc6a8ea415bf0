/**
 * Where the rooms write their log lines. Fields are scalars only, so that no
 * body, header or prompt can get in by accident; `time`, `level` and `msg`
 * belong to the line itself.
 */
export interface Log {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null>> & {
  readonly time?: never;
  readonly level?: never;
  readonly msg?: never;
};
