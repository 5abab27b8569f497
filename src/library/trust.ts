import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import type { Environment } from '../request.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates in a file that `option` names. Throws `invalid-request` for one that holds none, and as reading does. */
export function readCertificateFile(path: string, option: string): readonly string[] {
  const certificates = readCertificates(path, option);
  if (certificates.length > 0) return certificates;
  throw new TransferError(
    'invalid-request',
    `${option}: expected certificates in PEM form, got none in \`${path}\``,
  );
}

/** The certificate authorities trusted besides those of Node: `named` ones, and those of the environment, read when they are first needed. */
export function authoritiesOf(named: readonly string[], env: Environment): () => Promise<readonly string[]> {
  return async () => {
    const { SSL_CERT_FILE: file, SSL_CERT_DIR: directory } = env;
    if (!file && !directory) return named;
    const { rootCertificates } = await import('node:tls');
    const known = new Set(rootCertificates.map(withoutSpace));
    const more = [
      ...(file ? readCertificateFile(file, 'SSL_CERT_FILE') : []),
      ...(directory ? directory.split(':').flatMap(readDirectory) : []),
    ];
    return [...named, ...new Set(more.filter((certificate) => !known.has(withoutSpace(certificate))))];
  };
}

/** Where distributions keep the authorities that the system trusts: Debian, Red Hat, SUSE, Alpine. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Where grid software keeps its own (IGTF), unless `X509_CERT_DIR` says otherwise. */
const GRID_DIRECTORY = '/etc/grid-security/certificates';

/** What lies beside the authorities there: lists of revoked ones, policies. */
const BESIDE = /\.(r\d+|signing_policy|namespaces|info|crl_url)$/;

/**
 * The authorities of the system and of the grid. They take longer to read than a handshake, and most servers have a
 * certificate by one that Node knows: for when one has not.
 */
export function readMoreAuthorities(env: Environment, bundles: readonly string[] = SYSTEM_BUNDLES): string[] {
  const bundle = bundles.find((path) => existsSync(path));
  const directories = (env.X509_CERT_DIR || GRID_DIRECTORY).split(':');
  const texts = [
    ...(bundle === undefined ? [] : readCertificates(bundle, 'SSL_CERT_DIR')),
    ...directories.flatMap(readDirectory),
  ];
  return [...new Set(texts)];
}

function readDirectory(directory: string): readonly string[] {
  if (directory === '') return [];
  try {
    const names = readdirSync(directory).filter((name) => !BESIDE.test(name));
    return names.flatMap((name) => readCertificates(join(directory, name), 'SSL_CERT_DIR'));
  } catch {
    // OpenSSL passes over what it cannot read there, and distributions leave dangling links.
    return [];
  }
}

function readCertificates(path: string, option: string): readonly string[] {
  try {
    return readFileSync(path, 'latin1').match(CERTIFICATE) ?? [];
  } catch (error) {
    if (option === 'SSL_CERT_DIR') return [];
    throw toTransferError(error, `${option}: read \`${path}\``);
  }
}

function withoutSpace(certificate: string): string {
  return certificate.replace(/\s+/g, '');
}

const NO = ['0', 'no', 'false', 'off'];
const YES = ['1', 'yes', 'true', 'on'];

/** What `BRIDLE_TLS_VERIFY` says. A word that is no clear no must not turn verification off. */
export function readVerifyTls(env: Environment): boolean {
  const word = env.BRIDLE_TLS_VERIFY?.toLowerCase();
  if (word === undefined || word === '' || YES.includes(word)) return true;
  if (NO.includes(word)) return false;
  throw new TransferError(
    'invalid-request',
    `BRIDLE_TLS_VERIFY: expected \`off\`, \`0\`, \`no\` or \`false\`, got \`${word}\``,
  );
}
