import os from 'node:os';
import { fromText } from '../../job/byte-text.ts';
import { lookAtMachine, type Machine } from '../../job/machine.ts';
import type { Invocation } from '../../job/record.ts';
import type { Names } from '../../job/record-file.ts';
import { readAccounts } from '../../report/accounts.ts';

/** What a record tells of where the jobs ran. */
export interface Facts {
  readonly machine: Machine | undefined;
  readonly address: Invocation['address'];
}

/** Milliseconds that a record waits for the name of the machine, once everything else is there. */
const NAME_WAIT = 100;

/** Begins to look; the result waits for a name at most a moment, whatever the name server does. */
export function gatherFacts(isMachineTold: boolean): () => Promise<Facts> {
  const [name, host] = primaryAddress() ?? [];
  const question = host === undefined ? undefined : askForName(host);
  const machine = isMachineTold ? lookAtMachine() : Promise.resolve(undefined);
  return async () => {
    const known = await machine;
    const answer = await question?.(NAME_WAIT);
    return {
      machine: known,
      address: name === undefined || host === undefined ? undefined : { interface: name, host, name: answer },
    };
  };
}

/** The first interface with an IPv4 address that is not the loopback's. */
function primaryAddress(): [name: string, address: string] | undefined {
  for (const [name, addresses = []] of Object.entries(os.networkInterfaces())) {
    const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
    if (found) return [name, found.address];
  }
  return undefined;
}

function askForName(address: string): (wait: number) => Promise<string | undefined> {
  const answer = import('node:dns/promises').then(async ({ Resolver }) => {
    const resolver = new Resolver({ timeout: 1000, tries: 1 });
    return (await resolver.reverse(address))[0];
  });
  const quiet = answer.catch(() => undefined);
  return (wait) =>
    Promise.race([quiet, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), wait))]);
}

/** Names as the system's files have them; of this process's own user as the system tells, wherever it is kept. */
export function recordNames(): Names {
  const accounts = readAccounts();
  const named = (name: string, id: bigint) => (name === String(id) ? undefined : fromText(name));
  let own: os.UserInfo<string> | undefined;
  return {
    user(uid) {
      const known = named(accounts.user(uid), uid);
      if (known !== undefined || uid !== BigInt(process.getuid?.() ?? -1)) return known;
      try {
        own ??= os.userInfo();
        return fromText(own.username);
      } catch {
        return undefined;
      }
    },
    group: (gid) => named(accounts.group(gid), gid),
  };
}
