import { conformance } from '../conformance.ts';
import { sftpSubject } from '../sftp-subject.ts';

/** A server without any of OpenSSH's extensions: what old and other servers are like. */
const BARE =
  'internal-sftp -P posix-rename,fsync,limits,copy-data,hardlink,statvfs,fstatvfs,lsetstat,expand-path';

conformance('sftp, OpenSSH', () => sftpSubject());
conformance('sftp, a server without extensions', () => sftpSubject({ server: { subsystem: BARE } }), {
  noHardLinks: true,
});
conformance('sftp, an account in a jail', () => sftpSubject({ jailed: true }));
conformance('scp, by ssh2 instead of ssh', () => sftpSubject({ scheme: 'scp', ssh: { program: 'none' } }));
