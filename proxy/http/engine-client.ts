/** The I/O that adapters are lent: short, bounded requests to one engine. */
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';
import type { Upstream, UpstreamResponse } from './upstream.ts';

/** State endpoints answer with a few KiB; a larger answer is not one of theirs. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024;

export class EngineClient implements EngineIo {
  readonly #upstream: Upstream;
  readonly #commandLine: () => Promise<readonly string[] | null>;

  constructor(upstream: Upstream, commandLine: () => Promise<readonly string[] | null>) {
    this.#upstream = upstream;
    this.#commandLine = commandLine;
  }

  async get(path: string, signal: AbortSignal): Promise<EngineReply> {
    const head = { method: 'GET', path, headers: {}, body: null, signal };
    return readReply(await this.#upstream.send(head));
  }

  async post(path: string, body: string | Uint8Array, signal: AbortSignal): Promise<EngineReply> {
    const headers = { 'content-type': 'application/json' };
    return readReply(await this.#upstream.send({ method: 'POST', path, headers, body, signal }));
  }

  commandLine(): Promise<readonly string[] | null> {
    return this.#commandLine();
  }
}

async function readReply(response: UpstreamResponse): Promise<EngineReply> {
  const body = await readBounded(response.body, MAX_REPLY_BYTES);
  const headers = Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [
      name,
      [value ?? ''].flat().join(', '),
    ]),
  );
  return { status: response.status, headers, body: body.toString('utf8') };
}

/** The body as far as `maxBytes`; the rest is not read. */
async function readBounded(body: UpstreamResponse['body'], maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= maxBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}
