/** Headers that belong to one connection and must not travel on (RFC 9110, section 7.6.1). */

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export type HeaderMap = Readonly<Record<string, string | string[] | undefined>>;

/**
 * The headers that may go on to the other side: hop-by-hop ones and those that
 * `Connection` nominates are left out, and so are those named in `without`.
 */
export function endToEnd(
  headers: HeaderMap,
  without: ReadonlySet<string> = new Set(),
): Record<string, string | string[]> {
  const nominated = new Set(
    [headers.connection ?? []]
      .flat()
      .flatMap((value) => value.split(','))
      .map((name) => name.trim().toLowerCase()),
  );
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name)) continue;
    if (nominated.has(name) || without.has(name)) continue;
    kept[name] = value;
  }
  return kept;
}
