/** One text for all JSON texts of the same meaning, to be hashed into cache keys. */

/**
 * The JSON of a parsed value without whitespace and with keys in the order of
 * their UTF-16 code units (as RFC 8785 sorts them); arrays keep their order.
 * It recurses once for each level: the scanner's limit on depth bounds it.
 * Numbers are what `JSON.parse` made of them: integers past 2^53 that parse to
 * the same double are the same here. Throws a TypeError for what is not JSON.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value);
    case 'number':
      return canonicalNumber(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value)
        ? `[${value.map(canonicalJson).join(',')}]`
        : `{${Object.entries(value).sort(byCodeUnits).map(canonicalMember).join(',')}}`;
    default:
      throw new TypeError(`not a JSON value: ${typeof value}`);
  }
}

function canonicalNumber(value: number): string {
  // 1e999 parses to Infinity, which JSON.stringify would write as null.
  if (value === Number.POSITIVE_INFINITY) return '1e999';
  if (value === Number.NEGATIVE_INFINITY) return '-1e999';
  if (Number.isNaN(value)) throw new TypeError('not a JSON value: NaN');
  return JSON.stringify(value);
}

function canonicalMember([key, value]: [string, unknown]): string {
  return `${JSON.stringify(key)}:${canonicalJson(value)}`;
}

function byCodeUnits([a]: [string, unknown], [b]: [string, unknown]): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
