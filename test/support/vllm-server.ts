/** Runs a real vLLM, on the CPU, on the tiny model. */
import { type RunningPythonServer, startPythonServer } from './python-server.ts';

export const VLLM_MODEL = 'tiny-gpt-oss';
export const VLLM_WINDOW = 2_048;

/**
 * Ready in about 20 s, in three processes that take 4 GB. `args` are added to
 * its command line, e.g. ['--num-gpu-blocks-override', '160', '--block-size',
 * '32'] for a pool that four requests of 1,500 tokens overrun (it does not start
 * with one too small for a request of VLLM_WINDOW tokens).
 *
 * It batches up to 8 sequences, at about 300 tokens/s for one. A chat's prompt
 * is rendered by Harmony, 67 tokens more than its text, and in words of the real
 * vocabulary; a text completion's is one token a byte.
 */
export function startVllmServer(args: readonly string[] = []): Promise<RunningPythonServer> {
  return startPythonServer(
    'vllm',
    (model, port) => [
      '-m',
      'vllm.entrypoints.openai.api_server',
      ...['--model', model, '--served-model-name', VLLM_MODEL],
      ...['--host', '127.0.0.1', '--port', port],
      ...['--max-model-len', String(VLLM_WINDOW), '--max-num-seqs', '8', '--enforce-eager'],
      ...args,
    ],
    // Gigabytes; as many threads as it is bound to cores would spin beside those of the tests.
    { VLLM_CPU_KVCACHE_SPACE: '1', VLLM_CPU_OMP_THREADS_BIND: 'nobind', OMP_NUM_THREADS: '1' },
  );
}
