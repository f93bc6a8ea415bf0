/** Who is told of whose changes, in production and in a simulation alike. */
import type { Admission } from './admission.ts';
import type { Brake } from './brake.ts';
import type { Drains } from './drains.ts';
import type { GpuMonitor } from './gpu-monitor.ts';
import type { Headrooms } from './headrooms.ts';
import type { Judge } from './judge.ts';
import type { Ledger } from './ledger.ts';
import type { Metrics } from './metrics.ts';
import { isServing, type Pools, type ServingInstance } from './pools.ts';

export interface ConnectedRooms {
  readonly ledger: Ledger;
  readonly metrics: Pick<Metrics, 'leaseEndedTwice'>;
  readonly pools: Pools;
  readonly drains: Drains;
  readonly judge: Judge;
  readonly admission: Admission;
  readonly gpu: GpuMonitor;
  readonly headrooms: Headrooms;
  readonly brake: Brake;
}

/** Looks at each instance whenever something about one may have changed. */
export interface InstanceObserver {
  observe(instance: ServingInstance): void;
}

/** Whatever frees memory or brings a new reading may let somebody out of the queue. */
export function connectRooms(rooms: ConnectedRooms, observers: readonly InstanceObserver[]): void {
  const { ledger, metrics, pools, drains, judge, admission, gpu, headrooms, brake } = rooms;
  const lookAgain = () => {
    judge.refreshLevels();
    headrooms.refresh();
    for (const instance of pools.instances.filter(isServing)) {
      for (const observer of observers) observer.observe(instance);
    }
    admission.pump();
  };
  ledger.onEndedTwice(() => metrics.leaseEndedTwice());
  pools.onChange((before, after) => {
    if (after.health.state === 'unreachable' && after.health.processGone) {
      drains.processGone(after.name);
      ledger.forgetHighWater(after.name);
    }
    if (after.latest !== null && after.latest !== before.latest) {
      drains.confirm(after, after.latest);
      brake.readingTaken(after);
    }
    headrooms.observe(after);
    lookAgain();
  });
  gpu.onSample(() => {
    brake.gpusRead();
    lookAgain();
  });
}
