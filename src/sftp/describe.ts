import { posix } from 'node:path';
import type { Context, ServiceFact } from '../protocol.ts';
import { chooseTransport } from './choice.ts';
import { freeBytes } from './files.ts';
import type { Session } from './session.ts';

/** By what means the host is reached. */
export async function describeTransport(context: Context): Promise<readonly ServiceFact[]> {
  const { ssh } = await context.secrets();
  const choice = ssh && chooseTransport(ssh);
  if (!ssh || !choice) return [];
  const by = choice.kind === 'ssh' ? choice.program : 'the built-in client, ssh2';
  return [
    { label: 'by', text: `${by} (${choice.why})` },
    { label: 'host key', text: ssh.hostKey === 'verify' ? 'must be known' : ssh.hostKey },
  ];
}

/** What the server offers in this session, and the free space of the file system that holds `path`, where it says so. */
export async function describeSession(session: Session, path: string): Promise<readonly ServiceFact[]> {
  const { extensions, limits } = session;
  const free = (await freeBytes(session, path)) ?? (await freeBytes(session, posix.dirname(path)));
  const names = [...extensions.keys()].map((name) => name.replace(/[^\x21-\x7e]/g, '?').slice(0, 100));
  const rename = extensions.has('posix-rename@openssh.com')
    ? 'in one step'
    : 'in two steps: for a moment the name has nothing';
  return [
    { label: 'offers', text: names.length === 0 ? 'no extensions of SFTP 3' : names.sort().join(' ') },
    { label: 'limits', text: `requests of ${limits.read / 1024} KiB down, ${limits.write / 1024} KiB up` },
    { label: 'replaces', text: rename },
    {
      label: 'flushes',
      text: extensions.has('fsync@openssh.com') ? 'to its disk before a file is shown' : 'when it likes',
    },
    { label: 'round trip', text: `${Math.max(1, Math.round(session.roundTrip()))} ms` },
    { label: 'free', bytes: free },
  ];
}
