import type { Protocol } from './protocol.ts';

/** Scheme → the protocol's module, loaded on first use. */
const PROTOCOLS: Readonly<Record<string, () => Promise<Protocol>>> = {
  file: () => import('../protocols/file.ts'),
  symlink: () => import('../protocols/symlink.ts'),
  moveto: () => import('../protocols/moveto.ts'),
  stdio: () => import('../protocols/stdio.ts'),
  http: () => import('../protocols/http.ts'),
  https: () => import('../protocols/http.ts'),
  dav: () => import('../protocols/webdav.ts'),
  davs: () => import('../protocols/webdav.ts'),
  webdav: () => import('../protocols/webdav.ts'),
  webdavs: () => import('../protocols/webdav.ts'),
  gs: () => import('../protocols/gs.ts'),
  ftp: () => import('../protocols/ftp.ts'),
  ftps: () => import('../protocols/ftp.ts'),
  sftp: () => import('../protocols/sftp.ts'),
  scp: () => import('../protocols/sftp.ts'),
  s3: () => import('../protocols/s3.ts'),
  s3s: () => import('../protocols/s3.ts'),
  docker: () => import('../protocols/oci.ts'),
  oci: () => import('../protocols/oci.ts'),
  oras: () => import('../protocols/oras.ts'),
  library: () => import('../protocols/library.ts'),
  shub: () => import('../protocols/shub.ts'),
};

/** Schemes that can be opened here. */
export function knownSchemes(): readonly string[] {
  return Object.keys(PROTOCOLS).filter((scheme) => scheme !== 'stdio');
}

/** The protocol for `scheme`; undefined for one that is not spoken here. */
export async function loadProtocol(scheme: string): Promise<Protocol | undefined> {
  return Object.hasOwn(PROTOCOLS, scheme) ? PROTOCOLS[scheme]?.() : undefined;
}
