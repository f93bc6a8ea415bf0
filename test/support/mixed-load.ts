/** Many requests from a few clients at a time, some left half-way, with side doors tried among them. */
export interface Asked {
  readonly path: string;
  readonly body: object;
  readonly streams: boolean;
}

export interface MixedLoad {
  readonly url: string;
  readonly requests: number;
  readonly clients: number;
  readonly wanted: (at: number) => Asked;
  /** Whether the client leaves a stream after its first bytes: by then it is at the server. */
  readonly leaves: (at: number) => boolean;
  /** Paths that must not reach the server; each is tried again every 40 requests. */
  readonly sideDoors: readonly string[];
}

/** How often each outcome came: `200`, `200, left`, `side door 404`, or what went wrong in full. */
export async function runMixedLoad(load: MixedLoad): Promise<Readonly<Record<string, number>>> {
  const outcomes: Record<string, number> = {};
  const note = (outcome: string) => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  };
  let next = 0;
  const client = async () => {
    while (next < load.requests) {
      const at = next++;
      note(await serve(load, at));
      const door = load.sideDoors[at % 40];
      if (door === undefined) continue;
      note(`side door ${(await post(load.url + door, load.wanted(0).body)).status}`);
    }
  };
  await Promise.all(Array.from({ length: load.clients }, client));
  return outcomes;
}

async function serve({ url, wanted, leaves }: MixedLoad, at: number): Promise<string> {
  const { path, body, streams } = wanted(at);
  const leaving = new AbortController();
  const answer = await post(url + path, body, leaving.signal);
  if (streams && leaves(at)) {
    await answer.body?.getReader().read();
    leaving.abort();
    return `${answer.status}, left`;
  }
  const text = await answer.text();
  return answer.status === 200 ? '200' : `${path}: ${answer.status} ${text}`;
}

function post(url: string, body: object, signal: AbortSignal | null = null): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
}
