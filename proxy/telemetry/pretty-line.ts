/** A JSON log line for people: `12:03:44.120 INFO  msg key=value`, without a newline inside. */
export function prettyLine(jsonLine: string): string {
  const { time, level, msg, ...fields } = JSON.parse(jsonLine) as Record<string, unknown>;
  const clock = String(time).slice(11, 23);
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`);
  const severity = String(level).toUpperCase().padEnd(5);
  return withoutControls(`${clock} ${severity} ${msg}${pairs.join('')}`);
}

function fieldText(value: unknown): string {
  const isPlainWord = typeof value === 'string' && /^[^\s"=]+$/.test(value);
  return isPlainWord ? value : JSON.stringify(value);
}

/** A terminal obeys control characters; what came from outside must not steer it. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, '�');
}
