/**
 * The processes behind a local port, read from /proc: their command line, which
 * tells settings that some engines tell nowhere else, and their PIDs, by which
 * GPU memory is told apart. It is a help where it works (same host, same PID
 * namespace), never needed.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { pathSeenFrom } from './process-path.ts';

const LISTEN_STATE = '0A';
/** Processes whose view of a file is tried; more than these share one. */
const MAX_LISTENERS = 4;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** @returns the arguments, the program's name first; null when they can't be seen */
export async function commandLineBehind(url: string): Promise<readonly string[] | null> {
  try {
    for await (const pid of listenersAt(url)) {
      const text = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      return text.split('\0').filter((argument) => argument !== '');
    }
  } catch {
    // No /proc, or not ours to read: the operator can still say it by flags.
  }
  return null;
}

/**
 * Where a file that a listener names can be opened from here: in its own root
 * and folder, since it may run in a container. Empty when nobody can be seen.
 */
export async function pathsBehind(url: string, path: string): Promise<readonly string[]> {
  const paths: string[] = [];
  try {
    for await (const pid of listenersAt(url)) {
      const folders = { root: `/proc/${pid}/root`, cwd: `/proc/${pid}/cwd` };
      const place = await pathSeenFrom(folders, path);
      if (place !== null) paths.push(place);
      if (paths.length === MAX_LISTENERS) break;
    }
  } catch {
    // As above.
  }
  return paths;
}

/**
 * Whoever listens there, and everything they started: engines leave the GPU to
 * workers of theirs.
 * @returns null when nobody can be seen
 */
export async function processesBehind(url: string): Promise<ReadonlySet<number> | null> {
  const pids = new Set<number>();
  try {
    for await (const pid of listenersAt(url)) pids.add(Number(pid));
    if (pids.size === 0) return null;
    const children = await childrenByParent();
    // A set yields what is added to it while it is gone through.
    for (const pid of pids) {
      for (const child of children.get(pid) ?? []) pids.add(child);
    }
    return pids;
  } catch {
    return null;
  }
}

/** Processes that hold the listening socket: a parent, and children that inherited it. */
async function* listenersAt(url: string): AsyncGenerator<string> {
  const { hostname, port, protocol } = new URL(url);
  if (!LOOPBACK.test(hostname)) return;
  const inodes = await listeningInodes(port === '' ? defaultPort(protocol) : Number(port));
  if (inodes.size === 0) return;
  for (const pid of await processIds()) {
    if (await holdsSocket(pid, inodes)) yield pid;
  }
}

function defaultPort(protocol: string): number {
  return protocol === 'https:' ? 443 : 80;
}

async function processIds(): Promise<readonly string[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
}

async function childrenByParent(): Promise<ReadonlyMap<number, readonly number[]>> {
  const children = new Map<number, number[]>();
  for (const pid of await processIds()) {
    // A process that has ended meanwhile has no children to find.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // proc_pid_stat(5): `pid (comm) state ppid ...`, and comm may hold anything.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? Number.NaN);
    if (Number.isNaN(parent)) continue;
    children.set(parent, [...(children.get(parent) ?? []), Number(pid)]);
  }
  return children;
}

async function listeningInodes(port: number): Promise<ReadonlySet<string>> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const inodes = new Set<string>();
  for (const line of tables.join('\n').split('\n')) {
    const fields = line.trim().split(/\s+/);
    const inode = fields[9];
    if (fields[1]?.endsWith(`:${wanted}`) && fields[3] === LISTEN_STATE && inode !== undefined) {
      inodes.add(`socket:[${inode}]`);
    }
  }
  return inodes;
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    if (inodes.has(target)) return true;
  }
  return false;
}
