/**
 * The load that fills the memory: the rate of arrivals at which the mean of
 * (units x time in the engine) of a request, times the rate, is the capacity
 * (Little's law), with every request run in the batch that fills the memory.
 *
 * A request is in the engine for its prefill steps and a step for each further
 * output token. With r requests begun in each step, over those of the trace,
 *
 *   units held   = r x E[sum of its units over its steps]      = capacity
 *   sequences    = r x E[steps]                                 <= the engine's limit
 *
 * so r = min(capacity / E[sum of units], limit / E[steps]). A step of that batch
 * takes (see StepTime; what is read and computed follows from r alike)
 *
 *   step = base + perSequence x r x E[output steps] + perPrefillToken x r x E[prompt]
 *               + perKvToken x r x E[sum of its KV tokens over its output steps]
 *
 * and the rate is r / step. Requests that do not fit the empty engine are left
 * out of the means: nobody can run them.
 */
import { chargeOf, heldUnits } from '../memory/charge.ts';
import type { Machine } from './machine.ts';
import type { Workload } from './workload.ts';

/** The means are taken over so many requests at most, evenly spread over the trace. */
const MOST_SAMPLED = 20_000;

export interface FillingLoad {
  readonly requestsPerSecond: number;
  /** Sequences in the engine, and the time of a step, when its memory is full. */
  readonly sequences: number;
  readonly stepMs: number;
  /** Of the requests of the trace: those that do not fit the empty engine. */
  readonly tooLargeShare: number;
}

/** null where not one request fits the empty engine. */
export function loadThatFills(machine: Machine, workload: Workload): FillingLoad | null {
  const every = Math.max(1, Math.ceil(workload.differentRequests / MOST_SAMPLED));
  const sums = { requests: 0, tooLarge: 0, units: 0, steps: 0, outputs: 0, prompt: 0, kv: 0 };
  for (let index = 0; index < workload.differentRequests; index += every) {
    const { promptTokens, outputTokens } = workload.at(index);
    const charge = chargeOf(machine.layout, promptTokens, outputTokens, 1, 1);
    if (charge.peakUnits > machine.capacityUnits) {
      sums.tooLarge += 1;
      continue;
    }
    const prefillSteps = Math.max(1, Math.ceil(promptTokens / machine.prefillStepTokens));
    const held = (tokens: number) => heldUnits(machine.layout, charge, 'decode', tokens);
    const middle = held(Math.max(2, Math.ceil(outputTokens / 2)));
    // Units grow with a step at the window at most: Simpson's rule is close.
    const meanHeld = (held(2) + 4 * middle + held(outputTokens)) / 6;
    const outputSteps = outputTokens - 1;
    sums.requests += 1;
    sums.units += charge.prefillUnits * prefillSteps + meanHeld * outputSteps;
    sums.steps += prefillSteps + outputSteps;
    sums.outputs += outputSteps;
    sums.prompt += promptTokens;
    sums.kv += (promptTokens + outputTokens / 2) * outputSteps;
  }
  if (sums.requests === 0) return null;
  const { capacityUnits, maxSequences, stepTime } = machine;
  const perStep = Math.min(
    (capacityUnits * sums.requests) / sums.units,
    ((maxSequences ?? Number.POSITIVE_INFINITY) * sums.requests) / sums.steps,
  );
  const begun = perStep / sums.requests;
  const stepMs =
    stepTime.baseMs +
    begun *
      (stepTime.perSequenceMs * sums.outputs +
        stepTime.perPrefillTokenMs * sums.prompt +
        stepTime.perKvTokenMs * sums.kv);
  return {
    requestsPerSecond: (perStep / stepMs) * 1000,
    sequences: begun * sums.steps,
    stepMs,
    tooLargeShare: sums.tooLarge / (sums.tooLarge + sums.requests),
  };
}
