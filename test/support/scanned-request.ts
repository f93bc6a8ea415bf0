/** A generation request as an adapter gets it, from a body that the test knows to be JSON. */
import type { ScannedRequest } from '../../backend-adapters/adapter.ts';
import { bytesOf, scanObject } from './scan-json.ts';

export function scannedRequest(path: string, body: unknown): ScannedRequest {
  const bytes = bytesOf(typeof body === 'string' ? body : JSON.stringify(body));
  return { path, body: bytes, object: scanObject(bytes) };
}

export const CHAT = '/v1/chat/completions';
export const COMPLETION = '/v1/completions';
export const MESSAGES: readonly { role: string; content: string }[] = [
  { role: 'user', content: 'Say hello.' },
];
