import { TransferError, toTransferError } from '../errors.ts';
import type { CopyCall, Staged } from '../protocol.ts';
import { refuseAborted } from './abortable.ts';
import { type Attributes, statOf, versionOf } from './attributes.ts';
import { canCopy, copyRange, letGo, openFile, statFile, statHandle } from './files.ts';
import { holdFile } from './holding.ts';
import type { Session } from './session.ts';
import { openPartial, type SinkTools, writeStaged } from './sink.ts';
import { openSource } from './source.ts';
import { dropPartial, stage } from './staged.ts';
import { OPEN } from './wire.ts';

/** Bytes of one request: the server answers nothing else meanwhile, and a disk takes a second for this. */
const STEP = 64 * 1024 * 1024;

/** Copies within the server: by itself where it can (`copy-data`), else read and written by us. Staged like a write. */
export async function copyStaged(
  tools: SinkTools,
  from: string,
  to: string,
  call: CopyCall,
): Promise<Staged> {
  const doing = `copy \`${from}\` to \`${to}\``;
  try {
    refuseAborted(call.signal, doing);
    const lease = await tools.sessions.acquire(call.signal, doing);
    const isAble = canCopy(lease.session);
    lease.release();
    return isAble ? await copyThere(tools, from, to, call) : await copyThrough(tools, from, to, call);
  } catch (error) {
    throw toTransferError(error, doing);
  }
}

async function copyThere(tools: SinkTools, from: string, to: string, call: CopyCall): Promise<Staged> {
  const doing = `copy \`${from}\` to \`${to}\``;
  const { sessions } = tools;
  const early = await sessions.acquire(call.signal, doing);
  const source = await sourceOf(early.session, from, doing).finally(early.release);
  const size = source.size ?? 0;
  const opened = await openPartial(
    tools,
    to,
    { ...call, size, mode: call.mode ?? statOf(source).mode },
    doing,
  );
  const { lease, handle, partial, oldMode } = opened;
  const { session } = lease;
  const holding = holdFile(lease, handle);
  try {
    const reading = await openFile(session, { path: from, flags: OPEN.read }, doing);
    try {
      for (let offset = 0; offset < size; offset += STEP) {
        refuseAborted(call.signal, doing);
        const length = Math.min(STEP, size - offset);
        await copyRange(session, { from: reading, to: handle, offset, length }, doing);
        call.progress?.(offset + length);
      }
      refuseAborted(call.signal, doing);
      const now = await statHandle(session, reading, doing);
      if (versionOf(now) !== versionOf(source)) {
        throw new TransferError('changed', `${doing}: the file changed while it was copied`);
      }
    } finally {
      letGo(session, reading);
    }
    return stage(tools, { path: to, partial, size, session, handle, oldMode, holding }, call);
  } catch (error) {
    holding.close();
    await dropPartial(sessions, partial, call.signal);
    throw error;
  }
}

async function sourceOf(session: Session, from: string, doing: string): Promise<Attributes> {
  const attributes = await statFile(session, from, doing);
  if (statOf(attributes).type === 'file' && attributes.size !== undefined) return attributes;
  throw new TransferError('invalid-request', `${doing}: expected a regular file`);
}

async function copyThrough(tools: SinkTools, from: string, to: string, call: CopyCall): Promise<Staged> {
  const source = await openSource(tools.sessions, from, call);
  let copied = 0;
  async function* counted() {
    for await (const chunk of source.bytes) {
      yield chunk;
      copied += chunk.length;
      call.progress?.(copied);
    }
    await source.confirm?.();
  }
  try {
    return await writeStaged(tools, to, counted(), {
      ...call,
      size: source.size,
      mode: call.mode ?? source.mode,
      retry: (unit) => unit(call.signal),
    });
  } finally {
    await source.discard?.();
  }
}
