export interface DcgmDevice {
  readonly gpu: number;
  /** GPU_I_ID of a MIG instance. */
  readonly instance?: number;
  readonly usedMib: number;
  readonly freeMib: number;
  readonly reservedMib?: number;
  readonly util?: number;
}

/** What an exporter tells of these devices, with metrics and labels beside those that are wanted. */
export function dcgmPage(devices: readonly DcgmDevice[]): string {
  const metrics = [
    ['DCGM_FI_DEV_SM_CLOCK', 'SM clock frequency (in MHz).', () => 1980],
    ['DCGM_FI_DEV_GPU_UTIL', 'GPU utilization (in %).', ({ util }: DcgmDevice) => util],
    ['DCGM_FI_DEV_FB_FREE', 'Framebuffer memory free (in MiB).', (d: DcgmDevice) => d.freeMib],
    ['DCGM_FI_DEV_FB_USED', 'Framebuffer memory used (in MiB).', (d: DcgmDevice) => d.usedMib],
    [
      'DCGM_FI_DEV_FB_RESERVED',
      'Framebuffer memory reserved (in MiB).',
      (d: DcgmDevice) => d.reservedMib,
    ],
  ] as const;
  return metrics
    .flatMap(([name, help, told]) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} gauge`,
      ...devices.flatMap((device) => {
        const value = told(device);
        return value === undefined ? [] : [`${name}{${labels(device)}} ${value}`];
      }),
    ])
    .join('\n')
    .concat('\n');
}

function labels({ gpu, instance }: DcgmDevice): string {
  return [
    `gpu="${gpu}",UUID="GPU-${gpu}",pci_bus_id="00000000:${gpu}B:00.0",device="nvidia${gpu}"`,
    'modelName="NVIDIA H100 80GB HBM3"',
    ...(instance === undefined ? [] : [`GPU_I_PROFILE="1g.6gb",GPU_I_ID="${instance}"`]),
    'Hostname="node-1",container="vllm",namespace="default",pod="vllm-0"',
  ].join(',');
}
