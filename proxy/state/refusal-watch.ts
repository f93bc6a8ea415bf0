/** Notices when nothing listens at an engine's address any more. */
import type { EngineIo, EngineReply } from '../../backend-adapters/adapter.ts';
import type { GgufMetadata } from '../memory/gguf/metadata.ts';

/** Causes of causes that are looked into. */
const MAX_DEPTH = 4;

/** An engine's io as it was lent, which remembers whether a connection was refused. */
export class RefusalWatch implements EngineIo {
  readonly #io: EngineIo;
  #refused = false;

  constructor(io: EngineIo) {
    this.#io = io;
  }

  /** The latest request found nobody listening. */
  get refused(): boolean {
    return this.#refused;
  }

  get(path: string, signal: AbortSignal): Promise<EngineReply> {
    return this.#watch(this.#io.get(path, signal));
  }

  post(path: string, body: string | Uint8Array, signal: AbortSignal): Promise<EngineReply> {
    return this.#watch(this.#io.post(path, body, signal));
  }

  commandLine(): Promise<readonly string[] | null> {
    return this.#io.commandLine();
  }

  async modelMetadata(path: string, signal: AbortSignal): Promise<GgufMetadata | null> {
    return (await this.#io.modelMetadata?.(path, signal)) ?? null;
  }

  async #watch(reply: Promise<EngineReply>): Promise<EngineReply> {
    try {
      const answered = await reply;
      this.#refused = false;
      return answered;
    } catch (error) {
      this.#refused = isRefusal(error);
      throw error;
    }
  }
}

function isRefusal(error: unknown): boolean {
  let cause = error;
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    if (typeof cause !== 'object' || cause === null) return false;
    if ('code' in cause && cause.code === 'ECONNREFUSED') return true;
    cause = 'cause' in cause ? cause.cause : null;
  }
  return false;
}
