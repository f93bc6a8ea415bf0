/** Bursts of chat requests and what became of them. */

export interface ChatRequest {
  /** Tokens of the prompt under the simulated servers' byte-level tokenizer, framing included. */
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly stream: boolean;
}

export interface Outcome {
  readonly request: ChatRequest;
  readonly status: number;
  /** The whole answer arrived, and says that it ended regularly. */
  readonly complete: boolean;
  readonly code: string | null;
  readonly retryAfterMs: number | null;
}

/** Tokens that the simulated tokenizer adds to one user message. */
const FRAMING_TOKENS = 68;

function chatBody({ promptTokens, maxTokens, stream }: ChatRequest): string {
  return JSON.stringify({
    model: 'gpt-oss-20b',
    messages: [{ role: 'user', content: 'k'.repeat(promptTokens - FRAMING_TOKENS) }],
    max_tokens: maxTokens,
    stream,
  });
}

/** Sends one request and reads its answer to the end. */
export async function send(url: string, request: ChatRequest): Promise<Outcome> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: chatBody(request),
  });
  const retryAfterMs = answer.headers.get('retry-after-ms');
  const text = await answer.text().catch(() => '');
  return {
    request,
    status: answer.status,
    complete: answer.status === 200 && /"finish_reason":\s?"(length|stop)"/.test(text),
    code: /"code":\s?"([a-z_]+)"/.exec(text)?.[1] ?? null,
    retryAfterMs: retryAfterMs === null ? null : Number(retryAfterMs),
  };
}

/** Sends bursts one after the other, `gapMs` apart, without waiting for answers in between. */
export async function sendBursts(
  url: string,
  bursts: readonly (readonly ChatRequest[])[],
  gapMs: number,
): Promise<readonly Outcome[]> {
  const sent: Promise<Outcome>[] = [];
  for (const burst of bursts) {
    sent.push(...burst.map((request) => send(url, request)));
    await new Promise((resolve) => setTimeout(resolve, gapMs));
  }
  return Promise.all(sent);
}

/** How many outcomes there are of each status. */
export function countStatuses(outcomes: readonly Outcome[]): Readonly<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const { status } of outcomes) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
