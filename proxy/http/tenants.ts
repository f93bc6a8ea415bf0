/** Who is calling: verified API keys, and sessions that no other tenant can touch. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ScannedObject } from '../json/types.ts';
import type { Priority } from '../policy/types.ts';
import { invalidRequest, type Problem } from './problem.ts';

/** Headers that name a conversation, the most explicit first. */
const SESSION_HEADERS = [
  'x-session-id',
  'x-claude-code-session-id',
  'session-id',
  'session_id',
  'x-session-affinity',
  'x-opencode-session',
  'x-openwebui-chat-id',
  'x-litellm-session-id',
];
const SESSION_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const MAX_CONVERSATION_BYTES = 1024;

export interface SessionName {
  /** Tells sessions apart across tenants. */
  readonly key: string;
  /** As given, for the operator. */
  readonly id: string;
}

/** A key that callers may show, and the highest class it may claim. */
export interface CallerKey {
  readonly key: string;
  readonly maxPriority: Priority;
}

export class Tenants {
  readonly #keys: readonly { readonly digest: Buffer; readonly maxPriority: Priority }[];
  readonly #maxPriority: Priority;
  readonly #secret = randomBytes(32);

  /**
   * @param apiKeys keys that clients must show one of; none: everybody is one tenant
   * @param maxPriority the highest class that whoever shows none of them may claim
   */
  constructor(apiKeys: readonly CallerKey[], maxPriority: Priority = 'normal') {
    this.#keys = apiKeys.map(({ key, ...rest }) => ({ digest: digest(key), ...rest }));
    this.#maxPriority = maxPriority;
  }

  get verifies(): boolean {
    return this.#keys.length > 0;
  }

  /** The tenant of a request: an opaque name; null when its key is missing or wrong. */
  tenantOf(headers: IncomingHttpHeaders): string | null {
    if (!this.verifies) return 'anyone';
    const shown = shownKey(headers);
    if (shown === null || this.#keyOf(shown) === null) return null;
    return createHmac('sha256', this.#secret).update(shown).digest('base64url');
  }

  /** The highest class that a request may claim. */
  maxPriorityOf(headers: IncomingHttpHeaders): Priority {
    const shown = shownKey(headers);
    const key = shown === null ? null : this.#keyOf(shown);
    return key?.maxPriority ?? this.#maxPriority;
  }

  #keyOf(shown: string) {
    if (!this.verifies) return null;
    const wanted = digest(shown);
    return this.#keys.find((known) => timingSafeEqual(known.digest, wanted)) ?? null;
  }

  /** The session a request names, null when it names none. */
  sessionOf(
    tenant: string,
    headers: IncomingHttpHeaders,
    object: ScannedObject,
    conversation: () => unknown,
  ): SessionName | Problem | null {
    for (const name of SESSION_HEADERS) {
      const id = headerText(headers, name);
      if (id === null) continue;
      if (SESSION_ID.test(id)) return { key: `${tenant}:h:${id}`, id };
      return invalidRequest(`${name} must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -`, name);
    }
    const member = object.members.get('conversation');
    if (member === undefined || member.valueEnd - member.valueStart > MAX_CONVERSATION_BYTES) {
      return null;
    }
    const value = conversation();
    const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : value;
    if (typeof id !== 'string' || id === '') return null;
    const hashed = createHash('sha256').update(id).digest('base64url').slice(0, 22);
    return { key: `${tenant}:b:${hashed}`, id: hashed };
  }
}

export function bearerOf(headers: IncomingHttpHeaders): string | null {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

function shownKey(headers: IncomingHttpHeaders): string | null {
  return bearerOf(headers) ?? headerText(headers, 'x-api-key');
}

function headerText(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
