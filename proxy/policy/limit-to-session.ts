/** Step 4 of the decision: where a request may go by the limit of its session. */
import { bestThatFits, soonestEndMs } from './choose.ts';
import {
  cutTo,
  fillsMissingMaxTokens,
  firmCharge,
  isSome,
  type Offer,
  type Offers,
} from './offers.ts';
import { admit, reject } from './outcomes.ts';
import { judgeSession } from './session-rules.ts';
import type { AdmitReason, DecideInput, Decision } from './types.ts';

/** Where the request may go as far as its session is concerned; a reason where the session changed it. */
export interface Limited {
  readonly home: Offers;
  readonly reason: AdmitReason | null;
}

/**
 * Alone over its session's limit, a request goes to the large pool if
 * that has room, else it is shrunk to the limit, else it waits for the large
 * pool, else it is refused for good; over the limit because of the session's
 * own live requests, it may come back later.
 */
export function limitToSession(
  input: DecideInput,
  usual: readonly Offer[],
  large: readonly Offer[],
): Limited | Decision {
  const limit = input.config.sessionKvLimitBytes;
  const judge = (kvBytes: number | null) => judgeSession(input.session, kvBytes, limit);
  const cut = (offer: Offer) => cutTo(input, offer, ({ kvBytes }) => judge(kvBytes) === 'within');
  const offers = usual.length > 0 ? usual : large;
  const verdicts = offers.map((offer) => judge(firmCharge(offer).kvBytes));
  const within = offers
    .filter((_, index) => verdicts[index] === 'within')
    .flatMap((offer) => (fillsMissingMaxTokens(offer.instance) ? (cut(offer) ?? []) : offer));
  if (isSome(within)) return { home: within, reason: null };
  const busy = () => reject(input, 'session_busy', offers, soonestEndMs(input, offers));
  if (verdicts.includes('busy')) return busy();

  const roomy = bestThatFits(large);
  if (roomy !== null) return admit(input, roomy, 'session_limit');
  const shrunk = usual.flatMap((offer) => cut(offer) ?? []);
  if (isSome(shrunk)) return { home: shrunk, reason: 'session_limit' };
  if (isSome(large)) return { home: large, reason: 'session_limit' };
  const fitsAlone = offers.some(({ least }) => (least.kvBytes ?? 0) <= limit);
  return fitsAlone ? busy() : reject(input, 'session_kv_limit', offers, null);
}
