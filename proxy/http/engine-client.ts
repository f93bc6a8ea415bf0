/** The I/O that adapters are lent: short, bounded requests to one engine. */
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';
import type { GgufMetadata } from '../memory/gguf/metadata.ts';
import type { Upstream, UpstreamResponse } from './upstream.ts';

/** State endpoints answer with a few KiB; a larger answer is not one of theirs. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024;

/** What is seen of an engine on the host it runs on, where that is this one. */
export type EngineHost = Required<Pick<EngineIo, 'commandLine' | 'modelMetadata'>>;

export class EngineClient implements EngineIo {
  readonly #upstream: Upstream;
  readonly #host: EngineHost;

  constructor(upstream: Upstream, host: EngineHost) {
    this.#upstream = upstream;
    this.#host = host;
  }

  async get(path: string, signal: AbortSignal): Promise<EngineReply> {
    const head = { method: 'GET', path, headers: {}, body: null, signal };
    return readReply(await this.#upstream.send(head));
  }

  async post(path: string, body: string | Uint8Array, signal: AbortSignal): Promise<EngineReply> {
    const headers = { 'content-type': 'application/json' };
    const sent = typeof body === 'string' ? body : [body];
    return readReply(
      await this.#upstream.send({ method: 'POST', path, headers, body: sent, signal }),
    );
  }

  commandLine(): Promise<readonly string[] | null> {
    return this.#host.commandLine();
  }

  modelMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
    return this.#host.modelMetadata(path, signal);
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
