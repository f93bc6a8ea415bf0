/**
 * The command line of the process that listens on a local port, read from
 * /proc. Some engines tell their most important settings nowhere else. It is
 * a help where it works (same host, same PID namespace), never needed.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';

const LISTEN_STATE = '0A';
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** @returns the arguments, the program's name first; null when they can't be seen */
export async function commandLineBehind(url: string): Promise<readonly string[] | null> {
  const { hostname, port, protocol } = new URL(url);
  if (!LOOPBACK.test(hostname)) return null;
  const portNumber = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  try {
    const inodes = await listeningInodes(portNumber);
    if (inodes.size === 0) return null;
    for (const pid of await readdir('/proc')) {
      if (/^\d+$/.test(pid) && (await holdsSocket(pid, inodes))) {
        const text = await readFile(`/proc/${pid}/cmdline`, 'utf8');
        return text.split('\0').filter((argument) => argument !== '');
      }
    }
  } catch {
    // No /proc, or not ours to read: the operator can still say it by flags.
  }
  return null;
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
