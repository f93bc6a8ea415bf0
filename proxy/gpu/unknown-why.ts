/** Reasons of unknown memory that more than one source gives, and that decide which source is taken. */

export const MIG_PARENT =
  'MIG is enabled: the memory of the whole GPU says nothing of its instances';

export const MIG_EMPTY = 'MIG is enabled, and no instance was made';

/** nvidia-smi prints `[N/A]`, NVML answers NOT_SUPPORTED: GB10 (DGX Spark), Jetson. */
export const SHARES_MEMORY =
  "the GPU has no memory of its own: it shares the machine's, which --gpu-source unified reads";
