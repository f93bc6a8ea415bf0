/** Bodies that are as much work as JSON can be made to be, each of about so many bytes. */

export interface HostileBody {
  readonly name: string;
  /** The status it is answered with: most are chats like any other. */
  readonly status: 200 | 400;
  /** Bytes of each chunk of a body that does not declare its length; null: it does. */
  readonly chunkBytes: number | null;
  readonly path: string;
  /** Of the backend: room for any of them, or for a prompt of few tokens a byte, which has to be counted. */
  readonly contextTokens: number;
  /** Its pieces, made as they are sent. */
  readonly pieces: (bytes: number) => Iterable<Buffer>;
}

const CHAT = '/v1/chat/completions';
const PIECE_BYTES = 1024 * 1024;
const HEAD = '{"model":"gpt-oss-20b","max_tokens":16,"messages":[{"role":"user","content":"hi"}]';

/** A chat with a field beside it that is `unit` again and again. */
function beside(open: string, unit: string | Buffer, close: string): HostileBody['pieces'] {
  return wrapped(`${HEAD},"kvgate":${open}`, unit, `${close}}`);
}

function* repeated(unit: string | Buffer, bytes: number): Iterable<Buffer> {
  const one = Buffer.from(unit);
  const times = Math.max(1, Math.floor(PIECE_BYTES / one.length));
  const piece = Buffer.concat(Array.from({ length: times }, () => one));
  for (let left = bytes; left > 0; left -= piece.length) yield piece;
}

function wrapped(head: string, unit: string | Buffer, tail: string): HostileBody['pieces'] {
  return function* (bytes) {
    yield Buffer.from(head);
    yield* repeated(unit, bytes - head.length - tail.length - 2 * PIECE_BYTES);
    yield Buffer.from(tail);
  };
}

const MESSAGE = '{"model":"gpt-oss-20b","max_tokens":16,"messages":[{"role":"user","content":';
const plain = {
  status: 200,
  chunkBytes: null,
  path: CHAT,
  contextTokens: 1_000_000_000,
} as const;
const TEXT = 'The quick brown fox jumps over the lazy dog. ';
const DEEP = `${'['.repeat(60)}${']'.repeat(60)},`;

export const HOSTILE_BODIES: readonly HostileBody[] = [
  { ...plain, name: 'one string', pieces: wrapped(`${MESSAGE}"`, TEXT, '"}]}') },
  {
    ...plain,
    name: 'one string, no length declared',
    chunkBytes: 64 * 1024,
    pieces: wrapped(`${MESSAGE}"`, TEXT, '"}]}'),
  },
  {
    ...plain,
    name: 'one string, chunks of 100 bytes',
    chunkBytes: 100,
    pieces: wrapped(`${MESSAGE}"`, TEXT, '"}]}'),
  },
  {
    ...plain,
    name: 'max tokens to be filled in',
    pieces: wrapped('{"messages":[{"role":"user","content":"', TEXT, '"}]}'),
  },
  { ...plain, name: 'tiny members', pieces: beside('[', '{"a":1},', '0]') },
  { ...plain, name: 'tiny messages', pieces: wrapped(`${MESSAGE}"a"},`, '{"a":[]},', '{}]}') },
  {
    ...plain,
    name: 'tiny parts with escaped keys',
    pieces: wrapped(`${MESSAGE}[`, '{"\\u0074ype":"\\u0074ext"},', '{}]}]}'),
  },
  { ...plain, name: 'nested to the limit', pieces: beside('[', DEEP, '0]') },
  { ...plain, name: 'numbers', pieces: beside('[', '1,', '0]') },
  { ...plain, name: 'long numbers', pieces: beside('[', '-1.2345678901234567e-300,', '0]') },
  { ...plain, name: 'whitespace', pieces: wrapped(HEAD, ' \n\t', '}') },
  { ...plain, name: 'escapes', pieces: wrapped(`${MESSAGE}"`, '\\u00e9\\n', '"}]}') },
  { ...plain, name: 'many bytes a character', pieces: wrapped(`${MESSAGE}"`, '\u4e16', '"}]}') },
  { ...plain, name: 'a gigantic key', pieces: beside('{"', 'k', '":0}') },
  {
    ...plain,
    name: 'invalid UTF-8 at the end',
    status: 400,
    pieces: function* (bytes) {
      yield* wrapped(`${MESSAGE}"`, TEXT, '')(bytes);
      yield Buffer.of(0xff);
      yield Buffer.from('"}]}');
    },
  },
  {
    ...plain,
    name: 'counted',
    status: 400,
    contextTokens: 30_000_000,
    pieces: wrapped(`${MESSAGE}"`, TEXT, '"}]}'),
  },
  {
    ...plain,
    name: 'explained',
    path: '/explain',
    pieces: wrapped(`${MESSAGE}"`, TEXT, '"}]}'),
  },
];
