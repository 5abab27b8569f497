import { createPrivateKey, X509Certificate } from 'node:crypto';
import { TransferError } from '../errors.ts';
import { siteKey } from '../location.ts';
import type { ClientCertificate } from '../protocol.ts';
import { type NamedFile, readingFile, refuseExposed } from './credential-file.ts';
import { createFileCache } from './file-cache.ts';

export interface X509Options {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  readonly now: () => number;
  readonly warn: (key: string, message: string) => void;
}

export interface FoundCertificate {
  readonly certificate: ClientCertificate;
  readonly source: string;
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[\s\S]{1,32768}?-----END (?:[A-Z]+ )?PRIVATE KEY-----/;
const RENEW = 'make a new one, with `voms-proxy-init` or `grid-proxy-init`';

/** Told apart by these, since two files may hold the same certificate and one file another one later. */
let ids = 0;

/**
 * Finds the client certificate of a site: `X509_USER_PROXY_<site>`, else `X509_USER_PROXY`, a file with the certificate,
 * its key and the chain up to the authority (RFC 3820 §2.3). What the site's own variable names must be good; the
 * general one is often left over in the environment of a job, so that a missing or expired file is passed over with a
 * warning. Rejects with `permission-denied` when others can read it.
 */
export function createCertificateLookup(
  options: X509Options,
): (site: string, again: boolean) => Promise<FoundCertificate | undefined> {
  const { env, uid, now, warn } = options;
  const files = createFileCache<ClientCertificate & { readonly until: number }>((found, file) => {
    refuseExposed(found, file, uid);
    return parse(found.text, file);
  }, now);

  async function load(file: NamedFile, again: boolean): Promise<FoundCertificate> {
    const found = await files(file, again);
    const doing = readingFile(file);
    if (!found) throw new TransferError('invalid-request', `${doing}: no such file`, { hint: RENEW });
    if (found.until < Date.now()) {
      const since = new Date(found.until).toISOString();
      throw new TransferError('unauthenticated', `${doing}: the certificate expired on ${since}`, {
        hint: RENEW,
      });
    }
    return { certificate: found, source: `certificate of ${file.variable}` };
  }

  return async (site, again) => {
    const ofSite = site === '' ? '' : `X509_USER_PROXY_${siteKey(site)}`;
    const variable = env[ofSite] ? ofSite : 'X509_USER_PROXY';
    const path = env[variable];
    if (!path) return undefined;
    try {
      return await load({ path, variable }, again);
    } catch (error) {
      const isOurs = error instanceof TransferError && error.code !== 'permission-denied';
      if (variable === ofSite || !isOurs) throw error;
      warn(`x509 ${path}`, `${error.message}, going on without it`);
      return undefined;
    }
  };
}

function parse(text: string, file: NamedFile): ClientCertificate & { readonly until: number } {
  const doing = readingFile(file);
  const chain = text.match(CERTIFICATES) ?? [];
  const key = KEY.exec(text)?.[0];
  if (chain.length === 0 || key === undefined) {
    const what = chain.length === 0 ? 'a certificate' : 'a private key';
    throw new TransferError('invalid-request', `${doing}: expected ${what} in PEM form, got none`);
  }
  const certificates = chain.map((each) => reading(doing, 'certificate', () => new X509Certificate(each)));
  if (/ENCRYPTED/.test(key)) {
    throw new TransferError('invalid-request', `${doing}: the private key has a passphrase`, { hint: RENEW });
  }
  const isPair = reading(doing, 'private key', () => certificates[0]!.checkPrivateKey(createPrivateKey(key)));
  if (!isPair) {
    throw new TransferError(
      'invalid-request',
      `${doing}: the private key is not that of the first certificate`,
    );
  }
  const until = Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)));
  return { id: ++ids, chain: chain.join('\n'), key, until };
}

/** OpenSSL's own words may quote what it read: only ours go on. */
function reading<T>(doing: string, what: string, read: () => T): T {
  try {
    return read();
  } catch {
    throw new TransferError('invalid-request', `${doing}: the ${what} cannot be read`);
  }
}
