import { createPrivateKey, type KeyObject } from 'node:crypto';
import { TransferError } from '../errors.ts';

/** Object identifiers as DER spells them (RFC 7292 §4.2, RFC 2315 §14). */
const DATA = '2a864886f70d010701';
const KEY_BAG = '2a864886f70d010c0a0101';
const SHROUDED_KEY_BAG = '2a864886f70d010c0a0102';

const SEQUENCE = 0x30;
const OCTETS = 0x04;
const OBJECT = 0x06;
/** `[0] EXPLICIT`. */
const TAGGED = 0xa0;

/** One value: its tag, its content, and all of it. */
interface Value {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

/**
 * The private key of a PKCS #12 file, which node can use and not read (RFC 7292): finds the key in the file, node
 * decrypts it. Throws `invalid-request` when there is none or the password is another.
 */
export function readPkcs12Key(file: Buffer, password: string, doing: string): KeyObject {
  const bag = keyBagIn(file);
  if (!bag)
    throw new TransferError('invalid-request', `${doing}: expected a PKCS #12 file with a private key`);
  try {
    const passphrase = bag.isShrouded ? { passphrase: password } : {};
    return createPrivateKey({ key: bag.key, format: 'der', type: 'pkcs8', ...passphrase });
  } catch {
    // The reason that node gives may quote what it read.
    throw new TransferError('invalid-request', `${doing}: the key cannot be decrypted with this password`, {
      hint: 'name another one as `gs_service_key_file_password` in the boto file',
    });
  }
}

function keyBagIn(file: Buffer): { readonly key: Buffer; readonly isShrouded: boolean } | undefined {
  const [pfx] = valuesIn(file);
  const authSafe = pfx && childrenOf(pfx)[1];
  const safes = (authSafe && contentOf(authSafe)) ?? Buffer.alloc(0);
  for (const safe of valuesIn(safes).flatMap(childrenOf)) {
    for (const bag of valuesIn(contentOf(safe) ?? Buffer.alloc(0)).flatMap(childrenOf)) {
      const [id, value] = childrenOf(bag);
      const kind = id?.tag === OBJECT ? id.content.toString('hex') : '';
      const [key] = value?.tag === TAGGED ? valuesIn(value.content) : [];
      if (!key || (kind !== KEY_BAG && kind !== SHROUDED_KEY_BAG)) continue;
      return { key: key.whole, isShrouded: kind === SHROUDED_KEY_BAG };
    }
  }
  return undefined;
}

/** What a ContentInfo of type `data` holds; certificates are encrypted as a whole, and of no interest. */
function contentOf(info: Value): Buffer | undefined {
  const [type, tagged] = childrenOf(info);
  if (type?.tag !== OBJECT || type.content.toString('hex') !== DATA || tagged?.tag !== TAGGED)
    return undefined;
  const [octets] = valuesIn(tagged.content);
  return octets?.tag === OCTETS ? octets.content : undefined;
}

function childrenOf(value: Value): Value[] {
  return value.tag === SEQUENCE ? valuesIn(value.content) : [];
}

/** The values one behind the other in `bytes`, up to the first that is not whole (X.690 §8.1, definite lengths). */
function valuesIn(bytes: Buffer): Value[] {
  const found: Value[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const first = bytes[at + 1] ?? 0;
    const more = first < 0x80 ? 0 : first & 0x7f;
    if (first === 0x80 || more > 4 || at + 2 + more > bytes.length) break;
    const length = more === 0 ? first : bytes.readUIntBE(at + 2, more);
    const start = at + 2 + more;
    if (start + length > bytes.length) break;
    const end = start + length;
    found.push({ tag: bytes[at] ?? 0, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}
