/** Not a policy: lets each request in when and where the log says that it was, so that memory can be held against it. */
import type { Clock } from '../../state/clock.ts';
import type { Front, Stage } from '../front.ts';
import type { SimulatedRequest } from '../workload.ts';
import type { LoggedCourse } from './replay-request.ts';

export class LoggedFront implements Front {
  readonly level = 'low';
  readonly #courseOf: (request: SimulatedRequest) => LoggedCourse;
  readonly #stage: Stage;
  readonly #clock: Clock;
  #waiting = 0;

  constructor(courseOf: (request: SimulatedRequest) => LoggedCourse, stage: Stage, clock: Clock) {
    this.#courseOf = courseOf;
    this.#stage = stage;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting;
  }

  arrived(request: SimulatedRequest): void {
    const { outcome, reason, waitedMs, instance } = this.#courseOf(request);
    if (outcome === 'left') return;
    this.#waiting += 1;
    this.#clock.after(waitedMs, () => {
      this.#waiting -= 1;
      if (outcome === 'refused') this.#stage.refused(request, reason, null);
      else this.#stage.start(request, Number.POSITIVE_INFINITY, instance ?? '');
    });
  }

  generated(): void {}

  ended(): void {}

  poll(): void {}

  settle(): null {
    return null;
  }
}
