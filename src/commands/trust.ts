import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TransferError, toTransferError } from '../errors.ts';
import type { Environment } from '../request.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads the certificate authorities that the user trusts besides those of Node. Files named on the command line are read
 * at once, so that a wrong name is told before anything starts; those of the environment when they are first needed.
 */
export function readAuthorities(files: readonly string[], env: Environment): () => Promise<string[]> {
  const named = files.flatMap((file) => readFile(file, '--ca'));
  return async () => {
    const { SSL_CERT_FILE: file, SSL_CERT_DIR: directory } = env;
    if (!file && !directory) return named;
    const { rootCertificates } = await import('node:tls');
    const known = new Set(rootCertificates.map(withoutSpace));
    const more = [
      ...(file ? readFile(file, 'SSL_CERT_FILE') : []),
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

function readFile(path: string, option: string): readonly string[] {
  const certificates = readCertificates(path, option);
  if (certificates.length > 0) return certificates;
  throw new TransferError(
    'invalid-request',
    `${option}: expected certificates in PEM form, got none in \`${path}\``,
  );
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
