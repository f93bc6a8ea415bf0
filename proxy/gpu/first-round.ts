import type { Clock } from '../state/clock.ts';
import type { GpuReading, GpuSource } from '../state/gpu-source.ts';

export type FirstRound =
  | { readonly answered: true; readonly gpus: readonly GpuReading[] }
  | { readonly answered: false; readonly why: string };

/** Whether a source that was not started yet answers. It is stopped again, and can't be started a second time. */
export async function firstRound(
  source: GpuSource,
  clock: Clock,
  waitMs: number,
): Promise<FirstRound> {
  const round = await new Promise<FirstRound>((resolve) => {
    const giveUp = clock.after(waitMs, () => end({ answered: false, why: noAnswer(waitMs) }));
    const end = (result: FirstRound) => {
      giveUp();
      resolve(result);
    };
    source.start({
      sample: (gpus) => end({ answered: true, gpus }),
      fault: (why) => end({ answered: false, why }),
    });
  });
  await source.stop();
  return round;
}

function noAnswer(waitMs: number): string {
  return `no answer within ${waitMs / 1000} s`;
}
