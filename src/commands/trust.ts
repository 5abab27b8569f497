import { readdirSync, readFileSync } from 'node:fs';
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
    return readdirSync(directory).flatMap((name) => readCertificates(join(directory, name), 'SSL_CERT_DIR'));
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
