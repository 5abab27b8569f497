import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { readCertificate } from '../fixtures/misbehaving/server.ts';
import type { RunningFtp } from '../fixtures/servers/ftp.ts';
import { open } from '../protocols/ftp.ts';
import { parseUrl } from '../src/location.ts';
import type { Context, Endpoint, NetSettings, Secrets, Settings } from '../src/protocol.ts';
import type { Subject } from './conformance.ts';

export const LOGIN: Secrets = { username: 'user', password: 'secret' };

export interface FtpMore {
  readonly secrets?: Context['secrets'];
  readonly net?: Partial<NetSettings>;
  readonly tls?: NonNullable<Settings['ftp']>['tls'];
}

/** An endpoint that trusts the test CA and logs in as `user`. */
export function ftpEndpoint(base: string, more: FtpMore = {}): Endpoint {
  const { location } = parseUrl(base, { site: 'test', env: {} });
  return open(location, {
    http: { send: () => Promise.reject(new Error('FTP needs no HTTP')), close: async () => {} },
    secrets: more.secrets ?? (async () => LOGIN),
    settings: {
      net: {
        connections: 4,
        timeouts: { connect: 5, firstByte: 10, stall: 10 },
        authorities: async () => [readCertificate('ca.pem')],
        verifyTls: true,
        warn: () => undefined,
        ...more.net,
      },
      ftp: { tls: more.tls ?? 'auto' },
    },
  });
}

/** A place below `base` of a server that is stopped with it, looked at through the file system. */
export function ftpSubject(server: RunningFtp, base: string, more: FtpMore = {}): Subject {
  const path = (name: string) => join(server.root, name);
  return {
    endpoint: ftpEndpoint(base, more),
    path: (name) => `/${name.split('/').map(encodeURIComponent).join('/')}`,
    look: async (name) => (fs.existsSync(path(name)) ? fs.readFileSync(path(name)) : undefined),
    put: async (name, content) => {
      fs.mkdirSync(dirname(path(name)), { recursive: true });
      fs.writeFileSync(path(name), content);
    },
    close: () => server.stop(),
  };
}
