import { startServer } from '../../fixtures/servers/servers.ts';
import { conformance, type Limits } from '../conformance.ts';
import { ftpSubject } from '../ftp-subject.ts';

const LIMITS: Limits = { refusedNames: ['new\nline'] };

conformance(
  'ftp, ProFTPD',
  async () => {
    const server = await startServer('ftp');
    return ftpSubject(server, server.plain, { tls: 'off' });
  },
  LIMITS,
);

conformance(
  'ftp with AUTH TLS, ProFTPD that wants TLS sessions taken up',
  async () => {
    const server = await startServer('ftp');
    return ftpSubject(server, server.strict);
  },
  LIMITS,
);

conformance(
  'ftps, ProFTPD',
  async () => {
    const server = await startServer('ftp');
    return ftpSubject(server, server.implicit);
  },
  LIMITS,
);
