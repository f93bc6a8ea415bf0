import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 5;

/**
 * Waits for something another process or a socket brings about: calls `check`
 * until it returns without throwing, and passes on its value; after
 * `timeoutMs` it rejects with what `check` threw last. `check` asserts with
 * `expect`, so that a timeout reads like any failed assertion.
 */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 5_000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() >= deadlineMs) throw error;
    }
    await delay(POLL_MS);
  }
}
