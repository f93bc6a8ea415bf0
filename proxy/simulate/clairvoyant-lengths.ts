/** Output lengths to somebody who knows them: every request asks for exactly what it will produce. */
import { MAX_LENGTH_TOKENS } from '../policy/length-curve.ts';
import { EVERYTHING } from '../policy/length-key.ts';
import { LengthForecasts } from '../state/lengths/length-forecasts.ts';
import { WINDOW_SAMPLES } from '../state/lengths/length-window.ts';

/**
 * Forecasts that were taught that no output ever ends before its limit, and
 * that learn nothing more: the limit of a request is then its length.
 */
export class ClairvoyantLengths extends LengthForecasts {
  constructor() {
    super();
    const outcome = { endedBy: 'asked_limit', forecastQ95Tokens: null } as const;
    const key = { groups: [EVERYTHING], kind: EVERYTHING };
    for (let sample = 0; sample < WINDOW_SAMPLES; sample += 1) {
      super.learn(key, { ...outcome, outputTokens: MAX_LENGTH_TOKENS });
    }
  }

  override learn(): void {}
}
