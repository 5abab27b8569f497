import { createHash } from 'node:crypto';
import { basename, dirname, resolve } from 'node:path';
import { systemClock } from '../clock.ts';
import { TransferError } from '../errors.ts';
import { readManifest } from '../integrity/manifests/formats.ts';
import type { ManifestEntry } from '../integrity/manifests/manifest.ts';
import { retryUnit } from '../layers.ts';
import { formatLocation, pathOf } from '../location.ts';
import { isLocal } from '../plan.ts';
import { type KnownBlocks, type RepairResult, repair as repairFile } from '../repair.ts';
import { formatSize, safeText } from '../report/format.ts';
import type { Place } from '../request.ts';
import { lastName, parseArgument } from './arguments.ts';
import { badInput, EXIT } from './failures.ts';
import type { Io } from './io.ts';
import { REPAIR_OPTIONS } from './options.ts';
import { parseOptions } from './parse-options.ts';
import type { Visit } from './places.ts';
import { readBytes } from './read-bytes.ts';
import { openSession } from './session.ts';
import { statusOf, watchSignals } from './signals.ts';

/** Blocks named one by one; of more, only their number is told. */
const MOST_TOLD = 20;

/** `bridle repair SRC DST`: what is damaged of a local file comes from its source again. */
export async function repair(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseOptions(args, REPAIR_OPTIONS, { env: io.env });
  const [from, to, more] = positionals.map((text) => parseArgument(text));
  if (!from || !to || more) {
    throw new TransferError('invalid-request', `expected SRC and DST, got ${positionals.length} arguments`);
  }
  // Where the damage is can be told of any file; mended is one here.
  if (!isLocal(to.location) && !(values.dryRun && values.blocks !== undefined)) {
    throw new TransferError(
      'unsupported',
      `repair \`${formatLocation(to.location)}\`: expected a local file`,
      {
        hint: '`bridle cp` sends it again; `--dry-run` with `--blocks` tells where the damage is',
      },
    );
  }
  const endpoints = openSession(values, {
    env: io.env,
    connections: 1,
    warn: (_, message) => io.err(`warning: ${message}\n`),
  });
  const watch = watchSignals();
  try {
    const visit = { endpoints, signal: watch.signal };
    const known = values.blocks === undefined ? undefined : await readKnown(values.blocks, [to, from], visit);
    const side = async (place: Place) => ({
      endpoint: await endpoints.open(place),
      path: pathOf(place.location),
      name: formatLocation(place.location),
    });
    const result = await repairFile({
      from: await side(from),
      to: await side(to),
      known,
      key: createHash('sha256').update(`repair ${to.location.path}`).digest('hex').slice(0, 32),
      dryRun: values.dryRun,
      signal: watch.signal,
      retry: retryUnit(systemClock, Math.random, watch.signal),
    });
    const name = isLocal(to.location) ? to.location.path : formatLocation(to.location);
    io.out(values.json ? `${JSON.stringify({ name, ...result })}\n` : told(name, result));
    return isWrong(result) && values.dryRun ? EXIT.failed : EXIT.done;
  } catch (error) {
    const signal = watch.received();
    if (signal !== undefined) return statusOf(signal);
    throw error;
  } finally {
    watch.stop();
    await endpoints.close();
  }
}

/** What the manifest says of the file: the entry of its name, or the only one. */
async function readKnown(text: string, places: readonly Place[], visit: Visit): Promise<KnownBlocks> {
  const place = parseArgument(text);
  return badInput(async () => {
    const { entries } = await readManifest(await readBytes(place, visit), {
      fileName: lastName(place.location),
      format: 'json',
    });
    const names = places.flatMap(({ location }) => [
      location.path,
      lastName(location),
      formatLocation(location),
    ]);
    const fits = (entry: ManifestEntry) => names.includes(entry.name) || names.includes(basename(entry.name));
    const exact = places.map((one) => entries.filter((entry) => isOf(entry, one, place)));
    const named = exact.find((some) => some.length > 0) ?? entries.filter(fits);
    const found = entries.length === 1 ? entries : named;
    const [entry, another] = found;
    if (!entry || another) {
      const count = another ? `${found.length} files fit` : 'it is not there';
      throw new TransferError(
        'invalid-request',
        `--blocks \`${text}\`: expected one file of this name, ${count}`,
      );
    }
    if (!entry.blocks || entry.size === undefined) {
      throw new TransferError(
        'invalid-request',
        `--blocks \`${text}\`: no digests of blocks of \`${entry.name}\``,
        {
          hint: '`bridle checksum --blocks` writes them',
        },
      );
    }
    return { size: entry.size, blocks: entry.blocks, digests: entry.digests };
  });
}

/** The entry's name leads to the place, from where the manifest lies or from here. */
function isOf({ name }: ManifestEntry, { location }: Place, manifest: Place): boolean {
  if (!isLocal(location)) return name === formatLocation(location);
  const bases = isLocal(manifest.location) ? [dirname(manifest.location.path), '.'] : ['.'];
  return bases.some((base) => resolve(base, name) === resolve(location.path));
}

function isWrong({ damaged, excess }: RepairResult): boolean {
  return damaged.length > 0 || excess > 0;
}

function told(name: string, result: RepairResult): string {
  const { size, blocks, damaged, excess, fetched, isRepaired } = result;
  if (!isWrong(result)) {
    return `${safeText(name)}: nothing is wrong, ${blocks} blocks compared\n`;
  }
  const lines = damaged.slice(0, MOST_TOLD).map(({ index, start, end, differs }) => {
    const where = `  block ${index}, bytes ${start} to ${end - 1}`;
    if (!differs) return where;
    const count = differs.bytes === 1 ? '1 byte differs, at' : `${differs.bytes} bytes differ, from`;
    const last = differs.bytes === 1 ? '' : ` to ${differs.last}`;
    return `${where}: ${count} ${differs.first}${last}`;
  });
  if (damaged.length > MOST_TOLD) lines.push(`  and ${damaged.length - MOST_TOLD} more`);
  if (excess > 0) lines.push(`  ${excess} bytes too many, from ${size} on`);
  const verb = isRepaired ? 'repaired' : 'damaged';
  const cost = isRepaired ? `, ${formatSize(fetched)} of ${formatSize(size)} fetched` : '';
  return `${safeText(name)}: ${verb}, ${damaged.length} of ${blocks} blocks${cost}\n${lines.join('\n')}\n`;
}
