/** Ends a switch over a union: a new member is a compile error, not a silent default. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected variant: ${JSON.stringify(value)}`);
}
