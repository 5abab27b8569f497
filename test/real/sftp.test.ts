import { conformance } from '../conformance.ts';
import { sftpSubject } from '../sftp-subject.ts';

conformance('sftp, OpenSSH', () => sftpSubject());
