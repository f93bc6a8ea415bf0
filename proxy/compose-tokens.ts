/** Builds what counts prompts: the thread that tokenizes, and the chain that uses it. */
import type { Config } from './config/config.ts';
import { StartError } from './start-error.ts';
import type { Clock } from './state/clock.ts';
import { CountCache } from './state/counts/count-cache.ts';
import { CountWitnesses } from './state/counts/count-witnesses.ts';
import { PromptCounts } from './state/counts/prompt-counts.ts';
import { TokenCalibration } from './state/counts/token-calibration.ts';
import { TokenTrust } from './state/counts/token-trust.ts';
import type { Log } from './state/log.ts';
import type { Pools } from './state/pools.ts';
import { CountingQueue } from './tokens/counting-queue.ts';
import { startCountingThread } from './tokens/counting-thread.ts';
import { workerCounter } from './tokens/worker-counter.ts';

/** The thread behind the counts: nothing runs before something is to be counted. */
export interface TokenThread {
  /**
   * Resolves when the file of `--tokenizer` was loaded, at once where none was given.
   * @throws StartError when it can't be used
   */
  ready(): Promise<void>;
  close(): void;
}

export function composeTokens(
  { engine }: Pick<Config, 'engine'>,
  pools: Pools,
  clock: Clock,
  log: Log,
): {
  readonly promptCounts: PromptCounts;
  readonly countWitnesses: CountWitnesses;
  readonly tokenThread: TokenThread;
} {
  const path = engine.tokenizerPath;
  const queue = new CountingQueue(
    (events) => startCountingThread(workerFile(), path, events),
    clock,
    log,
  );
  const parts = {
    ...{ pools, log, local: workerCounter(queue, path !== null) },
    cache: new CountCache(),
    trust: new TokenTrust(),
    calibration: new TokenCalibration(),
  };
  return {
    promptCounts: new PromptCounts(parts),
    countWitnesses: new CountWitnesses(parts),
    tokenThread: {
      async ready() {
        if (path === null) return;
        const answer = await queue.run({ task: 'load', vocabulary: 'file' });
        if (answer?.outcome === 'loaded') return;
        const why = answer?.outcome === 'unknown' ? answer.why : 'it could not be loaded in time';
        throw new StartError(`--tokenizer: ${path} is no tokenizer.json that can be used: ${why}`);
      },
      close: () => queue.close(),
    },
  };
}

/** Sources run as they are in tests only: a thread of its own needs what was built of them. */
function workerFile(): URL {
  const folder = import.meta.url.endsWith('.ts') ? '../dist/proxy/tokens/' : './tokens/';
  return new URL(`${folder}count-worker.js`, import.meta.url);
}
