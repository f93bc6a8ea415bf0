/** The engines that come with kvgate: see engines/. */
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import { createEngine } from './engines/create-engine.ts';
import type { EngineMaker } from './machine.ts';
import { derivedStepTime } from './step-times.ts';

export const SIMULATED_ENGINES: EngineMaker = {
  stepTime: ({ model, gpuBytes, gpus }) => derivedStepTime(model, gpuBytes, gpus),
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
