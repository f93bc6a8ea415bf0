/** The open connections of a server, and the faults that tests ask of them. */
import type { Socket } from 'node:net';

export class Sockets {
  readonly #open = new Set<Socket>();
  #isRefusing = false;

  /** Takes a new connection in, or resets it while connections are refused. */
  accept(socket: Socket): void {
    if (this.#isRefusing) {
      socket.resetAndDestroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  refuse(refused: boolean): void {
    this.#isRefusing = refused;
    if (refused) this.reset();
  }

  /** Resets all connections, whatever they are in the middle of. */
  reset(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }

  /** Closes all connections. */
  close(): void {
    for (const socket of this.#open) socket.destroy();
  }
}
