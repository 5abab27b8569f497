import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { type RunningNginx, type RunningSquid, startServer } from '../../fixtures/servers/servers.ts';
import type { HttpClientOptions } from '../../src/http/client.ts';
import { conformance, type Subject } from '../conformance.ts';
import { httpSubject } from '../http-subject.ts';
import { localSubject } from '../local-subject.ts';

conformance('file on tmpfs', () => localSubject('/dev/shm'));
conformance('file on a disk', () => localSubject(tmpdir()));

const CA = { ca: [readCertificate('ca.pem')] };

conformance('http, nginx', () => nginxSubject('http'));
conformance('http, nginx with TLS', () => nginxSubject('https', CA));
conformance('http, nginx behind squid', async () => {
  const squid = await startServer('squid');
  return nginxSubject('http', { proxyEnv: { http_proxy: squid.open } }, squid);
});
conformance('http, nginx with TLS through a tunnel of squid', async () => {
  const squid = await startServer('squid');
  return nginxSubject('https', { ...CA, proxyEnv: { https_proxy: squid.open } }, squid);
});

async function nginxSubject(
  scheme: 'http' | 'https',
  options: Partial<HttpClientOptions> = {},
  squid?: RunningSquid,
): Promise<Subject> {
  const nginx: RunningNginx = await startServer('nginx');
  const path = (name: string) => join(nginx.dav, name);
  return httpSubject(
    `${nginx[scheme]}/-/dav/`,
    {
      look: async (name) => (fs.existsSync(path(name)) ? fs.readFileSync(path(name)) : undefined),
      put: async (name, content) => {
        fs.mkdirSync(dirname(path(name)), { recursive: true });
        fs.writeFileSync(path(name), content);
      },
      close: async () => {
        await nginx.stop();
        await squid?.stop();
      },
    },
    options,
  );
}
