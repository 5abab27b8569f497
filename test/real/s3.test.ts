import { afterAll, beforeAll } from 'vitest';
import { readCertificate } from '../../fixtures/misbehaving/server.ts';
import { type RunningCephRgw, S3_USER } from '../../fixtures/servers/ceph-rgw.ts';
import { startServer } from '../../fixtures/servers/servers.ts';
import { conformance } from '../conformance.ts';
import { s3Subject } from '../s3-subject.ts';

let ceph: RunningCephRgw;
beforeAll(async () => {
  ceph = await startServer('ceph-rgw');
}, 150_000);
afterAll(() => ceph?.stop());

const LIMITS = { noEmptyDirectories: true, keepsParts: true } as const;
const stop = async () => undefined;

conformance(
  's3, Ceph RGW 16',
  () => s3Subject({ access: { ...S3_USER, endpoint: ceph.http }, bucket: 'plain', stop }),
  LIMITS,
);
conformance(
  's3s, Ceph RGW 16',
  () =>
    s3Subject(
      { access: { ...S3_USER, endpoint: ceph.https.replace('https:', 'http:') }, bucket: 'secure', stop },
      { scheme: 's3s', ca: [readCertificate('ca.pem')] },
    ),
  LIMITS,
);
