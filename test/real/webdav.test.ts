import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { LOGIN, startServer } from '../../fixtures/servers/servers.ts';
import { conformance } from '../conformance.ts';
import { davSubject } from '../dav-subject.ts';

const http = { ca: [readCertificate('ca.pem')] };

conformance('webdav, Apache', async () =>
  davSubject(await startServer('apache-dav'), { scheme: 'webdav', below: 'open' }),
);
conformance('davs, Apache with a login by digest', async () =>
  davSubject(await startServer('apache-dav'), { scheme: 'davs', below: 'digest', secrets: LOGIN, http }),
);
conformance(
  'webdavs, nginx with dav-ext and a login',
  async () =>
    davSubject(await startServer('nginx-dav'), { scheme: 'webdavs', below: 'basic', secrets: LOGIN, http }),
  // It refuses a PUT with Content-Range.
  { startsOver: true },
);
