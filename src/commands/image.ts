import { TransferError } from '../errors.ts';
import { closeFolders } from '../local/partials.ts';
import { EXIT } from './failures.ts';
import { ACTIONS, refuseStrange } from './image/order.ts';
import { openWork, type Work } from './image/tools.ts';
import type { Io } from './io.ts';
import { IMAGE_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { statusOf, watchSignals } from './signals.ts';

type Action = (args: readonly string[], work: Work) => Promise<void>;

const LOAD: Readonly<Record<string, () => Promise<Action>>> = {
  build: async () => (await import('./image/build.ts')).build,
  pull: async () => (await import('./image/pull.ts')).pull,
  convert: async () => (await import('./image/convert.ts')).convert,
  inspect: async () => (await import('./image/inspect.ts')).inspect,
  push: async () => (await import('./image/push.ts')).push,
  verify: async () => (await import('./image/verify.ts')).verify,
  prune: async () => (await import('./image/prune.ts')).prune,
};

/** `bridle image build|pull|convert|inspect|push|verify|prune`: container images, in registries and in files. */
export async function image(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals, given } = parseOptions(args, IMAGE_OPTIONS, { env: io.env });
  const [action = '', ...rest] = positionals;
  const load = Object.hasOwn(LOAD, action) ? LOAD[action] : undefined;
  if (!load) {
    const what = action === '' ? 'nothing' : `\`${action}\``;
    throw new TransferError('invalid-request', `expected one of ${ACTIONS.join(', ')}, got ${what}`);
  }
  refuseStrange(action, given);
  const watch = watchSignals();
  const work = openWork(values, io, watch.signal);
  try {
    await (await load())(rest, work);
    return EXIT.done;
  } catch (error) {
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    throw error;
  } finally {
    watch.stop();
    await closeFolders();
    await work.scratch.remove();
    await work.http.close();
    await closeFolders();
  }
}
