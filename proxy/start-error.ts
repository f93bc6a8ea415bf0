/** The configuration is sound, but what it describes can't be guarded: exit code 2. */
export class StartError extends Error {
  readonly code = 'cannot_start';
}
