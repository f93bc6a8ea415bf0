/** Who may use the operator's routes. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { bearerOf } from './tenants.ts';

const LOOPBACK_ADDRESS = /^(127\.|::1$|::ffff:127\.)/;
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/**
 * With an admin token: whoever shows it. Without: a peer on loopback that
 * speaks to us directly, so that neither a proxy in front of us nor a web page
 * in the operator's browser (by DNS rebinding or a cross-site request) gets in.
 */
export function mayOperate(message: IncomingMessage, adminToken: string | null): boolean {
  const { headers, socket } = message;
  if (adminToken !== null) {
    const shown = bearerOf(headers);
    return shown !== null && timingSafeEqual(digest(shown), digest(adminToken));
  }
  const forwarded = Object.keys(headers).some(
    (name) => name === 'forwarded' || name.startsWith('x-forwarded-'),
  );
  return (
    LOOPBACK_ADDRESS.test(socket.remoteAddress ?? '') &&
    LOOPBACK_HOST.test(headers.host ?? '') &&
    !forwarded &&
    isOwnOrigin(headers.origin, headers.host)
  );
}

/** Whoever changes something shows the token, also from loopback; without one nobody may. */
export function mayAdminister(message: IncomingMessage, adminToken: string | null): boolean {
  return adminToken !== null && mayOperate(message, adminToken);
}

function isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  try {
    return new URL(origin).host === host;
  } catch {
    return false;
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
