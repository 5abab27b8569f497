import { TransferError } from '../errors.ts';
import type { SshRun } from './ssh-arguments.ts';
import type { Transport } from './transport.ts';

export interface Ssh2Connection extends SshRun {
  readonly name: string;
  readonly onNewHost: (host: string) => void;
}

export async function connectSsh2(run: Ssh2Connection): Promise<Transport> {
  throw new TransferError('unsupported', `ssh to \`${run.name}\`: not here`);
}
