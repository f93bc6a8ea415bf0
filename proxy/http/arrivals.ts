/**
 * The chunks of a request's body as they come. Each is handed on at once, and
 * whoever works on them is woken once for all of a turn of the event loop: a
 * body in chunks of a few bytes costs little more than one in long ones.
 */
import type { IncomingMessage } from 'node:http';

/** As much as one read of a socket brings: with more waiting, nothing further is read. */
const MAX_WAITING_BYTES = 64 * 1024;

export class Arrivals {
  readonly #message: IncomingMessage;
  readonly #signal: AbortSignal;
  readonly #take: (chunk: Buffer) => void;
  /** Bytes handed on since `more` was asked last. */
  #waitingBytes = 0;
  #state: 'open' | 'ended' | 'broken' = 'open';
  #fault: unknown = null;
  #wake: (() => void) | null = null;
  #wakesSoon = false;

  /** @param take gets each chunk, which it may keep; not called any more after `stop` */
  constructor(message: IncomingMessage, signal: AbortSignal, take: (chunk: Buffer) => void) {
    this.#message = message;
    this.#signal = signal;
    this.#take = take;
    signal.addEventListener('abort', this.#wakeNow, { once: true });
    message.once('end', this.#ended).once('error', this.#broken).once('close', this.#broken);
    message.on('data', this.#arrived);
  }

  /**
   * Resolves to true when something has come since it was called last, to false at the end of the body.
   * @throws the signal's reason when it aborts, or what broke the stream
   */
  async more(): Promise<boolean> {
    if (this.#message.isPaused()) this.#message.resume();
    while (this.#waitingBytes === 0 && this.#state === 'open' && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#signal.throwIfAborted();
    if (this.#state === 'broken') throw this.#fault ?? new Error('the body broke off');
    const some = this.#waitingBytes > 0;
    this.#waitingBytes = 0;
    return some;
  }

  /** Lets go of the message and leaves it open, so that it can still be answered. */
  stop(): void {
    this.#signal.removeEventListener('abort', this.#wakeNow);
    // The listener for errors stays: one that nobody listens to would end the process.
    this.#message.off('data', this.#arrived).off('end', this.#ended).off('close', this.#broken);
  }

  readonly #arrived = (chunk: Buffer): void => {
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#message.pause();
    this.#take(chunk);
    if (this.#wakesSoon || this.#wake === null) return;
    this.#wakesSoon = true;
    setImmediate(this.#wakeNow);
  };

  readonly #ended = (): void => {
    this.#state = 'ended';
    this.#wakeNow();
  };

  readonly #broken = (fault: unknown = null): void => {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.#fault = fault;
    this.#wakeNow();
  };

  readonly #wakeNow = (): void => {
    this.#wakesSoon = false;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  };
}
