/** The processes under one of ours; vLLM's engine and worker outlive a killed server. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ChildProcessInfo {
  readonly pid: number;
  /** Its command line, or the title that it has given itself. */
  readonly title: string;
}

/** Every process whose chain of parents leads to `pid`, parents first; those that ended are left out. */
export function descendantsOf(pid: number): ChildProcessInfo[] {
  const byParent = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = /^\d+$/.test(name) ? parentOf(name) : null;
    if (parent !== null) byParent.set(parent, [...(byParent.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (let todo = [pid]; todo.length > 0; ) {
    todo = todo.flatMap((parent) => byParent.get(parent) ?? []);
    found.push(...todo);
  }
  return found.map((child) => ({ pid: child, title: titleOf(child) }));
}

/** Null for one that has ended, also where its parent has not asked yet how. */
function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in parentheses and may hold any character, a parenthesis too.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : Number(parent);
  } catch {
    return null;
  }
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
