/** An EngineIo over real sockets, as small as tests of adapters need it. */
import { request } from 'node:http';
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';

export function httpEngineIo(
  baseUrl: string,
  commandLine: readonly string[] | null = null,
): EngineIo {
  const send = (
    method: 'GET' | 'POST',
    path: string,
    body: string | Uint8Array,
    signal: AbortSignal,
  ): Promise<EngineReply> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': byteLength(body) };
      const call = request(`${baseUrl}${path}`, { method, headers, signal, agent: false });
      call.once('error', reject);
      call.once('response', async (response) => {
        try {
          const chunks: Uint8Array[] = [];
          for await (const chunk of response) chunks.push(chunk);
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(
              Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
            ),
            body: Buffer.concat(chunks).toString('utf8'),
          });
        } catch (error) {
          reject(error);
        }
      });
      call.end(body);
    });
  return {
    get: (path, signal) => send('GET', path, '', signal),
    post: (path, body, signal) => send('POST', path, body, signal),
    commandLine: async () => commandLine,
  };
}

function byteLength(body: string | Uint8Array): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
}
