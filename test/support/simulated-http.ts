/** Talks to a simulated server as a plain client, without kvgate in between. */
import type {
  SimulatedOptions,
  SimulatedServer,
} from '../../backend-adapters/simulated-server/server.ts';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';

export interface RunningServer {
  readonly server: SimulatedServer;
  readonly url: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Starts servers and closes all of them in `closeAll`. Fast enough that no test waits for tokens. */
export class SimulatedServers {
  readonly #servers: SimulatedServer[] = [];

  async start(options: SimulatedOptions): Promise<RunningServer> {
    const server = createSimulatedServer({ speed: 200, ...options });
    this.#servers.push(server);
    return { server, ...(await server.listen(0, '127.0.0.1')) };
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#servers.splice(0).map((server) => server.close()));
  }
}

export async function post(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return await answerOf(
    await fetch(url, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    }),
  );
}

export async function get(url: string): Promise<Answer> {
  return await answerOf(await fetch(url));
}

/** A streamed answer whose first bytes were read; `abort` leaves it. */
export async function openStream(
  url: string,
  body: Readonly<Record<string, unknown>>,
): Promise<{ readonly rest: () => Promise<string>; readonly abort: () => void }> {
  const controller = new AbortController();
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true }),
    signal: controller.signal,
  });
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error('the answer has no body');
  const decoder = new TextDecoder();
  const first = await reader.read();
  const rest = async (): Promise<string> => {
    let text = decoder.decode(first.value, { stream: true });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  };
  return { rest, abort: () => controller.abort() };
}

/** The JSON of each event of a stream; `[DONE]` stays a string. */
export function eventsOf(stream: string): unknown[] {
  return stream
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)));
}

async function answerOf(response: Response): Promise<Answer> {
  return { status: response.status, headers: response.headers, text: await response.text() };
}
