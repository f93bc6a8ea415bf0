/**
 * A simulated LLM server: plain HTTP in front of one of three engines that
 * account for GPU memory the way the real ones do. It generates nonsense, but
 * it runs out of memory, preempts and overflows where they would.
 *
 * Tokens: one for each UTF-8 byte of text; a chat adds 64, and 4 a message
 * (see tokenizer.ts). One token of output is one character.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HttpApi } from './http-api.ts';
import type { SimulatedOptions } from './options.ts';
import { createPersonality } from './personality.ts';
import type { SimulatedGpu } from './simulated-gpu.ts';
import type { SimulatedState } from './simulation.ts';
import { Simulation } from './simulation.ts';
import { Sockets } from './sockets.ts';

export type { SimulatedOptions } from './options.ts';

export interface SimulatedServer {
  /** Port 0 takes a free one. Rejects where the address is taken. */
  listen(port: number, host: string): Promise<{ readonly url: string }>;
  /** Ends every connection and timer. */
  close(): Promise<void>;
  state(): SimulatedState;
  readonly gpu: SimulatedGpu;
  /** Fault: resets every open connection, streams included. */
  dropConnections(): void;
  /** Fault: while true, every connection is reset as soon as it is made. */
  refuse(refused: boolean): void;
}

/** @throws RangeError where the options can't hold together: a pool or weights beyond the GPU */
export function createSimulatedServer(options: SimulatedOptions): SimulatedServer {
  const personality = createPersonality(options);
  const { gpu } = personality;
  const simulation = new Simulation(personality);
  const sockets = new Sockets();
  let readyAtMs = 0;

  const api = new HttpApi(personality, simulation, () => performance.now() < readyAtMs);
  const server = createServer((request, response) => {
    // Only a client that left while it was sending its body can make this reject.
    api.handle(request, response).catch(() => response.destroy());
  });
  server.on('connection', (socket) => sockets.accept(socket));

  return {
    gpu,
    state: () => simulation.state(),
    dropConnections: () => sockets.reset(),
    refuse: (refused) => sockets.refuse(refused),
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.off('error', reject);
          readyAtMs = performance.now() + personality.loadingMs;
          resolve({ url: `http://${host}:${portOf(server.address())}` });
        });
      }),
    close: () =>
      new Promise((resolve) => {
        simulation.stop();
        server.close(() => resolve());
        sockets.close();
      }),
  };
}

function portOf(address: AddressInfo | string | null): number {
  return address !== null && typeof address === 'object' ? address.port : 0;
}
