import type { RunInput } from '../engine.ts';
import { TransferError, toTransferError } from '../errors.ts';
import { isLocal } from '../plan.ts';
import type { Place, Request } from '../request.ts';
import { isStandardStream, lastName, parseArgument, STANDARD_STREAM } from './arguments.ts';
import { directoryMaker } from './cp-directories.ts';
import { findTargets, type Target } from './cp-targets.ts';
import { copyRequest, type Walk, walkTree } from './cp-tree.ts';
import { expandPlaces } from './expand.ts';
import { badInput } from './failures.ts';
import { createFilter, type Filter } from './globs.ts';
import type { Io } from './io.ts';
import { CP_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import { refusal } from './refusal.ts';
import { type InputTools, runAndTell } from './running.ts';

/** `bridle cp SRC... DST`. */
export async function cp(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals, given: options } = parseOptions(args, CP_OPTIONS, { env: io.env });
  if (positionals.length < 2) {
    const got = positionals.length === 0 ? 'nothing' : `only \`${positionals[0]}\``;
    throw new TransferError('invalid-request', `expected SRC... DST, got ${got}`);
  }
  const places = positionals.map((text) => (text === '-' ? STANDARD_STREAM : parseArgument(text)));
  const destination = places.at(-1) as Place;
  const given = places.slice(0, -1);
  checkStreams(given, destination, values.events);
  const filter = createFilter(
    options
      .filter(({ key }) => key === 'include' || key === 'exclude')
      .map(({ key, text }) => ({ include: key === 'include', glob: text })),
  );
  // What came through a pipe cannot be read again.
  const attempts = given.some(isStandardStream) ? 1 : values.attempts;
  const trees = new Set(values.recursive ? given.map(({ location }) => lastName(location)) : []);
  const to = { place: destination.location, trees };
  return runAndTell({ ...values, attempts, to }, io, async (tools) => {
    const sources = await expandPlaces(given, tools);
    const call = {
      sources,
      destination,
      recursive: values.recursive,
      symlink: values.symlink,
      signal: tools.signal,
    };
    const targets = await badInput(() => findTargets(call, tools.endpoints));
    const { preserve } = values;
    const directoriesFor: Walk['directoriesFor'] = values.dryRun
      ? undefined
      : (to) => directoryMaker(to, { ...tools, preserve });
    return inputOf(targets, filter, { ...tools, ...(directoriesFor && { directoriesFor }) });
  });
}

function checkStreams(sources: readonly Place[], destination: Place, events: string | undefined): void {
  const invalid = (message: string) => new TransferError('invalid-request', message);
  if (isStandardStream(destination)) {
    if (sources.length > 1) throw invalid('expected one source for standard output, got several');
    if (events === '-') throw invalid('expected a file for --events: standard output is the destination');
  }
  if (sources.filter(isStandardStream).length > 1)
    throw invalid('expected `-` as a source once, got it twice');
  if (sources.length === 1 && sources.some(isStandardStream) && destination.location.path.endsWith('/')) {
    throw invalid('expected the name of a file as destination of standard input, got a directory');
  }
}

type CopyTools = InputTools & Pick<Walk, 'directoriesFor'>;

/** Nothing is walked before the engine asks, and no further ahead than it asks. */
function inputOf(targets: readonly Target[], filter: Filter, tools: CopyTools): RunInput {
  const hasTree = targets.some((target) => target.isDirectory && !target.problem);
  return {
    total: hasTree ? 0 : targets.length,
    requests: (kind) => (kind === 'transfer' ? expand(targets, filter, tools) : nothing()),
  };
}

async function* nothing(): AsyncGenerator<Request> {}

async function* expand(
  targets: readonly Target[],
  filter: Filter,
  tools: CopyTools,
): AsyncGenerator<Request> {
  let index = 0;
  const walk: Walk = { ...tools, filter, nextIndex: () => index++ };
  for (const target of targets) {
    const { source, destination } = target;
    const refuse = (error: TransferError) =>
      tools.emit({ type: 'item-ended', outcome: refusal(walk.nextIndex(), source, destination, error) });
    if (target.problem) refuse(target.problem);
    else if (!target.isDirectory) yield copyRequest(walk.nextIndex(), source, destination);
    else if (isStandardStream(destination)) {
      refuse(new TransferError('invalid-request', 'a directory cannot go to standard output'));
    } else {
      try {
        yield* walkTree(asFiles(target), walk);
      } catch (error) {
        refuse(toTransferError(error, `list \`${source.location.path}\``));
      }
    }
  }
}

/** Trees are read and made as what they are, whatever is asked for the files in them. */
function asFiles(target: Target): Target {
  const { source } = target;
  return isLocal(source.location)
    ? { ...target, source: { ...source, location: { ...source.location, scheme: 'file' } } }
    : target;
}
