import type { Io } from '../io.ts';
import { statusOf, watchSignals } from '../signals.ts';
import type { S3Invocation } from './arguments.ts';
import { copyKeys } from './cp.ts';
import { getFile } from './get.ts';
import { listUrl } from './ls.ts';
import { makeBucket } from './mkdir.ts';
import { putFile } from './put.ts';
import { removeUrls } from './rm.ts';
import { openS3Session, type S3Session } from './session.ts';

/** What a command works with. */
export interface S3Work {
  readonly invocation: S3Invocation;
  readonly session: S3Session;
  readonly io: Io;
  readonly signal: AbortSignal;
}

const COMMANDS = {
  ls: listUrl,
  mkdir: makeBucket,
  rm: removeUrls,
  put: putFile,
  get: getFile,
  cp: copyKeys,
} as const satisfies Readonly<Record<S3Invocation['command'], (work: S3Work) => Promise<void>>>;

/** `pegasus-s3 COMMAND`: exit status 0 when all was done. Rejects with what went wrong. */
export async function runS3Command(invocation: S3Invocation, io: Io): Promise<number> {
  const session = openS3Session(invocation, io);
  const watch = watchSignals();
  try {
    await COMMANDS[invocation.command]({ invocation, session, io, signal: watch.signal });
    const ended = watch.received();
    return ended === undefined ? 0 : statusOf(ended);
  } catch (error) {
    const ended = watch.received();
    if (ended !== undefined) return statusOf(ended);
    throw error;
  } finally {
    watch.stop();
    await session.close();
  }
}
