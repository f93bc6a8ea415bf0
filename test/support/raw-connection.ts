/** A TCP client for requests that no HTTP library would send. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from '@jest/globals';
import { eventually } from './eventually.ts';

export interface RawConnection {
  /** Resolves when all of it has left, or can no longer. */
  send(bytes: string | Buffer): Promise<void>;
  /** What came back so far. */
  text(): string;
  /** Waits until `part` has come back; what came until then. */
  until(part: string): Promise<string>;
  /** Everything that comes until the other side closes or resets the connection. */
  readonly rest: Promise<string>;
  /** Stops reading: what comes stays in the buffers of the system. */
  pause(): void;
  resume(): void;
  /** Says that nothing more will be sent. */
  end(): void;
  destroy(): void;
}

export async function connectRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  const text = () => Buffer.concat(chunks).toString('utf8');
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => {});
  const rest = new Promise<string>((resolve) => socket.once('close', () => resolve(text())));
  await once(socket, 'connect');
  return {
    send: (bytes) => new Promise((resolve) => void socket.write(bytes, () => resolve())),
    text,
    until: async (part) => {
      await eventually(() => expect(text()).toContain(part));
      return text();
    },
    rest,
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

/** A POST of JSON as text; `headers` are whole lines. */
export function rawPost(path: string, body: string, headers: readonly string[] = []): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: kvgate.test',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
