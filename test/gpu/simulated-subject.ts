/** The simulated server in place of a GPU: shows that the script works, and measures nothing. */
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import type { Measured, Subject } from './subject.ts';

/** A server of its own for each size, since a simulated GPU's peak only ever rises. */
export function simulatedSubject(attention: Subject['attention']): Subject {
  return {
    about: { device: 'simulated GPU', attention },
    attention,
    stop: async () => {},
    measure: async (promptTokens, outputTokens): Promise<Measured> => {
      const server = createSimulatedServer({
        personality: 'dynamic',
        attention,
        gpuTotalBytes: 2 ** 40,
        speed: 10_000,
      });
      const { url } = await server.listen(0, '127.0.0.1');
      const idleBytes = server.gpu.peakUsedBytes;
      try {
        const answer = await fetch(`${url}/v1/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ prompt: 'a'.repeat(promptTokens), max_tokens: outputTokens }),
        });
        await answer.arrayBuffer();
        return {
          promptTokens,
          outputTokens,
          prefillPeakBytes: server.gpu.peakUsedBytes - idleBytes,
          heldBytes: null,
          decodePeakBytes: null,
          reservedBytes: null,
        };
      } finally {
        await server.close();
      }
    },
  };
}
