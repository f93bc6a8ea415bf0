/** A path as another process sees it, told as one that leads to the same file from here. */
import { readlink } from 'node:fs/promises';

/** Parts of a path and of its links together; Linux follows 40 links. */
const MAX_PARTS = 512;

/** Where a process looks for files, as folders that can be opened from here. */
export interface ProcessFolders {
  /** Of its absolute paths, and of links that hold one. */
  readonly root: string;
  /** Of its relative paths. */
  readonly cwd: string;
}

/**
 * Links are followed here, since the kernel would take an absolute one, and `..`
 * above a root that is no mount, for a place under the root of this process: another
 * file may lie there. A process that changes its folders meanwhile can still lead
 * elsewhere: what is read there must not matter.
 * @returns null where there are too many parts, or links that lead in a circle
 */
export async function pathSeenFrom(folders: ProcessFolders, path: string): Promise<string | null> {
  const { root } = folders;
  let base = path.startsWith('/') ? root : folders.cwd;
  const below: string[] = [];
  const ahead = path.split('/').reverse();
  for (let parts = 0; parts < MAX_PARTS; parts++) {
    const part = ahead.pop();
    if (part === undefined) return [base, ...below].join('/');
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (below.pop() === undefined && base !== root) base += '/..';
      continue;
    }
    const target = await readlink([base, ...below, part].join('/')).catch(() => null);
    if (target === null) {
      below.push(part);
      continue;
    }
    if (target.startsWith('/')) {
      base = root;
      below.length = 0;
    }
    ahead.push(...target.split('/').reverse());
  }
  return null;
}
