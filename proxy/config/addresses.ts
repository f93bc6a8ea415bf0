/** Backend URLs and listen addresses, from text. A refusal is a sentence, not an exception. */
import { isIPv4 } from 'node:net';
import type { BackendConfig } from './config.ts';
import { shown } from './problem.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** `[name=]URL`; without a name, `fallbackName` it is. */
export function parseBackend(
  text: string,
  pool: BackendConfig['pool'],
  fallbackName: string,
): Parsed<BackendConfig> {
  const named = /^([^=/:]*)=(.*)$/s.exec(text);
  const name = named?.[1] ?? fallbackName;
  if (!NAME.test(name)) {
    return refuse(`the name ${shown(name)} must be letters, digits, dots, dashes or underscores`);
  }
  const url = parseUrl(named?.[2] ?? text);
  return url.ok ? { ok: true, value: { name, url: url.value, pool } } : url;
}

/** Origin and path of an http(s) URL, without a trailing slash. */
function parseUrl(text: string): Parsed<string> {
  if (!URL.canParse(text)) return refuse(`${shown(text)} is not a URL like http://127.0.0.1:8080`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return refuse(`${shown(text)} must begin with http:// or https://`);
  }
  // The text stays out of these messages: it may hold a password or a key.
  if (url.username !== '' || url.password !== '') {
    return refuse(`the URL of ${url.host} holds credentials; use backend-api-key-file`);
  }
  if (/[?#]/.test(text)) return refuse(`the URL of ${url.host} must have no query and no fragment`);
  const path = url.pathname.replace(/\/+$/, '');
  if (path.endsWith('/v1')) {
    return refuse(`leave out /v1 in the URL of ${url.host}: callers' paths have it already`);
  }
  return { ok: true, value: url.origin + path };
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, an IPv6 host in brackets. */
export function parseListenAddress(text: string): Parsed<ListenAddress> {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    return refuse(`must be host:port, like 127.0.0.1:9798, not ${shown(text)}`);
  }
  return { ok: true, value: { host, port } };
}

/** Whether only this machine can reach `host`. A name other than `localhost` may be anything. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function refuse(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}
