import { type ByteText, toBytes } from '../../job/byte-text.ts';
import { type Libc, loadLibc } from '../../job/libc.ts';
import type { Member } from '../tar/member.ts';

/** File types as `mknod` takes them (sys/stat.h). */
const KINDS = { fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;

/** Attributes of this machine's policy, or of another one's file system: never taken over. */
const FOREIGN = /^(?:trusted\.|security\.(?!capability$))/;

/** What node has no calls for. Each says why not when it could not, and nothing when it could. */
export interface SpecialCalls {
  /** A device or a pipe with mode 0600. */
  makeNode(path: Buffer, member: Member): string | undefined;
  setAttribute(path: Buffer, name: ByteText, value: ByteText): string | undefined;
}

export const isForeign = (name: ByteText): boolean => FOREIGN.test(name);

export function specialCalls(): SpecialCalls {
  const libc = loadLibc();
  const missing = 'this machine has no calls for them';
  return {
    makeNode: (path, { type, major, minor }) => {
      if (type !== 'fifo' && type !== 'character' && type !== 'block') return undefined;
      if (!libc?.mknod) return missing;
      return outcome(libc, libc.mknod(ended(path), KINDS[type] | 0o600, device(major, minor)));
    },
    setAttribute: (path, name, value) => {
      if (!libc) return missing;
      const bytes = toBytes(value);
      return outcome(libc, libc.lsetxattr(ended(path), ended(toBytes(name)), bytes, bytes.length, 0));
    },
  };
}

const outcome = (libc: Libc, result: number): string | undefined =>
  result === 0 ? undefined : libc.strerror(libc.errno()).toLowerCase();

const ended = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(1)]);

/** As the kernel's `dev_t` divides its bits among the two (makedev(3)). */
function device(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & ~0xfffn) << 32n) | ((low & ~0xffn) << 12n) | ((high & 0xfffn) << 8n) | (low & 0xffn);
}
