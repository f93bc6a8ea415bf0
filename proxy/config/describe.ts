import type { Config, ResolvedOption } from './config.ts';
import type { Option } from './option.ts';
import { OPTION_GROUPS } from './options.ts';

/**
 * One line for every resolved threshold, limit and timeout, and for whatever
 * else is not at its default, with its unit and where it came from. Names files
 * of secrets, never what is in them.
 */
export function describeConfig(config: Config): readonly string[] {
  return Object.entries(OPTION_GROUPS).flatMap(([group, options]) => {
    const lines = Object.entries(options).flatMap(([name, option]) => {
      const resolved = config.options[name];
      return resolved !== undefined && isWorthALine(option, resolved, group)
        ? [`  ${name.padEnd(25)} ${valueText(option, resolved)}`]
        : [];
    });
    return lines.length === 0 ? [] : [group, ...lines];
  });
}

function isWorthALine(option: Option, { value, source }: ResolvedOption, group: string): boolean {
  if (source !== 'default') return true;
  return option.range !== null && value !== null && !group.startsWith('Simulated');
}

function valueText(option: Option, { value, source }: ResolvedOption): string {
  const text = Array.isArray(value) ? value.join(', ') : String(value);
  const withUnit = option.unit === null ? text : `${text} ${option.unit}`;
  return source === 'default' ? withUnit : `${withUnit.padEnd(15)} (${source})`;
}
