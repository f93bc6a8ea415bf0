/** The engines that come with kvgate: see engines/. */
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import type { StepTime } from './engine-model.ts';
import { createEngine } from './engines/create-engine.ts';
import type { EngineMaker } from './machine.ts';

/** Until a step of each engine was measured. */
const STEP_TIME: StepTime = {
  baseMs: 6,
  perSequenceMs: 0.05,
  perPrefillTokenMs: 0.05,
  perKvTokenMs: 0.00002,
};

export const SIMULATED_ENGINES: EngineMaker = {
  stepTime: () => STEP_TIME,
  engine: (machine) => {
    const { layout, stepTime, capacityUnits, maxSequences, prefillStepTokens } = machine;
    const model = modelGeometry(machine.model);
    const common = { stepTime, maxBatchedTokens: prefillStepTokens, model };
    switch (layout.model) {
      case 'dynamic':
        return createEngine({
          ...common,
          memory: 'dynamic',
          budgetBytes: capacityUnits,
          attention: layout.attention,
          maxGenerations: null,
        });
      case 'paged':
        return createEngine({
          ...common,
          memory: 'paged',
          numGpuBlocks: capacityUnits + 1,
          windowTokens: model.windowTokens,
          maxSequences: maxSequences ?? Number.POSITIVE_INFINITY,
        });
      case 'slots':
        return createEngine({
          ...common,
          memory: 'slots',
          slots: layout.slots,
          unified: layout.unified,
          contextTokens: capacityUnits,
        });
    }
  },
};
