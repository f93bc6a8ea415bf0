/** What is wrong with a configuration: a value, never an exception, so that all are found at once. */

export interface Problem {
  /** The option's name, or the unknown word. */
  readonly field: string;
  /** Where the value came from: `--port`, `KVGATE_PORT`, the file's name, or `default`. */
  readonly source: string;
  readonly message: string;
}

export function renderProblem({ field, source, message }: Problem): string {
  return `${field} (${source}): ${message}`;
}

/** A value as it may be shown in a message: one line, bounded, no credentials of a URL. */
export function shown(value: unknown): string {
  const json = (JSON.stringify(value) ?? String(value)).replace(/\/\/[^/@\s]*@/g, '//…@');
  return json.length > 80 ? `${json.slice(0, 79)}…` : json;
}
