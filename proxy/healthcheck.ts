import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';

const TIMEOUT_MS = 5000;

export interface HealthTarget {
  /** The address the server listens on; a wildcard means this machine. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** Asks `GET /health` once. Resolves with null when it answers 200, else with what is wrong. */
export function checkHealth({ host, port, tls }: HealthTarget): Promise<string | null> {
  const hostname = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  // The certificate names the public host, not the loopback address asked here.
  const target = { hostname, port, path: '/health', signal, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const request = (tls ? httpsGet : httpGet)(target, (response) => {
      response.destroy();
      resolve(response.statusCode === 200 ? null : `/health answered ${response.statusCode}`);
    });
    request.on('error', (error) => {
      resolve(signal.aborted ? `no answer within ${TIMEOUT_MS} ms` : error.message);
    });
  });
}
