/** The built-in simulated server that `kvgate demo` guards when no backend is given. */
import { createSimulatedServer } from '../backend-adapters/simulated-server/server.ts';
import type { DemoConfig } from './config/config.ts';

export interface DemoServer {
  readonly url: string;
  readonly description: string;
  close(): Promise<void>;
}

/** Starts it on a free port of loopback. */
export async function startDemoServer(demo: DemoConfig): Promise<DemoServer> {
  const common = {
    gpuTotalBytes: demo.gpuBytes,
    speed: demo.speed,
    seed: demo.seed,
    // A model ends its answers by itself; the simulated one has to be told how long they are.
    answerTokens: { min: 60, max: 400 },
  };
  const server = createSimulatedServer(
    demo.engine === 'dynamic'
      ? { ...common, personality: 'dynamic', attention: demo.attention }
      : { ...common, personality: demo.engine },
  );
  const { url } = await server.listen(0, '127.0.0.1');
  const attention = demo.engine === 'dynamic' ? `, ${demo.attention} attention` : '';
  const gib = (demo.gpuBytes / 1024 ** 3).toFixed(0);
  return {
    url,
    description: `simulated gpt-oss-20b (${demo.engine}${attention}) on a simulated ${gib} GiB GPU`,
    close: () => server.close(),
  };
}
