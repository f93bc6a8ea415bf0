/** Splits the recorded bytes of HTTP/1.1 connections into messages with decoded bodies. */

export interface HttpMessage {
  /** Request line or status line. */
  readonly startLine: string;
  /** Names in lower case; values of repeated headers joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** The body without its transfer coding. */
  readonly body: Buffer;
  /** Whether the body came to its regular end: false when the connection broke off inside it. */
  readonly complete: boolean;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');

/** The requests in `bytes`, in order. A half-sent head at the end is left out. */
export function splitRequests(bytes: Buffer): HttpMessage[] {
  return splitMessages(bytes, () => 'framed');
}

/**
 * The final responses in `bytes`, in order, 1xx left out. `requests` are those
 * of the same connection, which tell the answers to HEAD, that have no body.
 */
export function splitResponses(bytes: Buffer, requests: readonly HttpMessage[]): HttpMessage[] {
  let answered = 0;
  const messages = splitMessages(bytes, (startLine) => {
    const status = Number(startLine.split(' ')[1]);
    if (status < 200) return 'none';
    const isHead = requests[answered++]?.startLine.startsWith('HEAD ') ?? false;
    return isHead || status === 204 || status === 304 ? 'none' : 'until-close';
  });
  return messages.filter((message) => !/^HTTP\/1\.\d 1\d\d/.test(message.startLine));
}

/**
 * How the body ends where no header tells: RFC 9112, section 6.3. `none` also
 * overrides the headers, `framed` means that there is no body.
 */
type Framing = 'none' | 'framed' | 'until-close';

function splitMessages(bytes: Buffer, framingOf: (startLine: string) => Framing): HttpMessage[] {
  const messages: HttpMessage[] = [];
  let position = 0;
  for (;;) {
    const headEnd = bytes.indexOf(HEAD_END, position);
    if (headEnd === -1) return messages;
    const [startLine = '', ...lines] = bytes.toString('latin1', position, headEnd).split('\r\n');
    const headers = headersOf(lines);
    const rest = bytes.subarray(headEnd + HEAD_END.length);
    const { body, length, complete } = bodyOf(rest, headers, framingOf(startLine));
    messages.push({ startLine, headers, body, complete });
    position = headEnd + HEAD_END.length + length;
  }
}

function headersOf(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

interface Body {
  readonly body: Buffer;
  /** Bytes it takes on the wire. */
  readonly length: number;
  readonly complete: boolean;
}

function bodyOf(rest: Buffer, headers: ReadonlyMap<string, string>, framing: Framing): Body {
  if (framing === 'none') return { body: Buffer.alloc(0), length: 0, complete: true };
  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return chunkedBody(rest);
  const declared = headers.get('content-length');
  const length =
    declared === undefined ? (framing === 'framed' ? 0 : rest.length) : Number(declared);
  const body = rest.subarray(0, length);
  return { body, length, complete: body.length === length };
}

/** RFC 9112, section 7.1; chunk extensions and trailers are passed over. */
function chunkedBody(rest: Buffer): Body {
  const chunks: Buffer[] = [];
  let position = 0;
  for (;;) {
    const lineEnd = rest.indexOf(LINE_END, position);
    if (lineEnd === -1) break;
    const size = Number.parseInt(rest.toString('latin1', position, lineEnd), 16);
    if (Number.isNaN(size)) throw new SyntaxError(`no chunk size at byte ${position} of the body`);
    if (size === 0) {
      // Without trailers the blank line follows at once, so its line end is the size's own.
      const end = rest.indexOf(HEAD_END, lineEnd);
      if (end === -1) break;
      return { body: Buffer.concat(chunks), length: end + HEAD_END.length, complete: true };
    }
    const start = lineEnd + LINE_END.length;
    chunks.push(rest.subarray(start, start + size));
    position = start + size + LINE_END.length;
  }
  return { body: Buffer.concat(chunks), length: rest.length, complete: false };
}
