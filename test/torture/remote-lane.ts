import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Content as Bytes, makeContent } from '../../fixtures/misbehaving/content.ts';
import { digestAt } from '../places/digest-at.ts';
import type { StoragePlace } from '../places/place.ts';
import type { PlaceName } from '../places/places.ts';
import type { Ledger } from './ledger.ts';
import { type Content, makePlace, type Place, readContent } from './place.ts';

/** What the servers' certificates are signed by. */
export const CA = fileURLToPath(new URL('../../fixtures/tls/ca.pem', import.meta.url));

export type ServiceName = 'webdav' | 'sftp' | 's3' | 'gs' | 'ftp';
/** From this machine to the service, or from there to here. */
export type Direction = 'up' | 'down';

/** What is known of a service beside how to reach it. */
export interface ServiceTraits {
  readonly place: PlaceName;
  /** A broken upload can be gone on with. */
  readonly resumesUploads: boolean;
  /** Milliseconds that the final name may be absent while a file is replaced: by nature of the server. */
  readonly replacing: number;
}

export const SERVICES: Readonly<Record<ServiceName, ServiceTraits>> = {
  // Apache removes the old file before it renames the new one.
  webdav: { place: 'dav', resumesUploads: true, replacing: 5000 },
  sftp: { place: 'sftp', resumesUploads: true, replacing: 0 },
  s3: { place: 's3', resumesUploads: true, replacing: 0 },
  gs: { place: 'gs', resumesUploads: true, replacing: 0 },
  ftp: { place: 'ftp', resumesUploads: true, replacing: 0 },
};

/** One file that is transferred again and again between this machine and a service. */
export interface RemoteLane {
  readonly name: string;
  readonly direction: Direction;
  readonly traits: ServiceTraits;
  readonly service: StoragePlace;
  /** What the product may write to on this machine. */
  readonly place: Place;
  readonly events: string;
  /** Names at the service. */
  readonly source: string;
  readonly destination: string;
  readonly content: Bytes;
  /** Bytes a second. */
  readonly rate: number;
  readonly ledger: Ledger;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Seconds that a run takes besides its bytes. */
  readonly overhead: number;
}

export interface RemoteLaneOptions {
  readonly service: ServiceName;
  readonly direction: Direction;
  readonly storage: StoragePlace;
  readonly index: number;
  readonly size: number;
  readonly rate: number;
  readonly seed: number;
  readonly directory: string;
  readonly ledger: Ledger;
  readonly random: () => number;
}

/** Puts the source where it is to be, and writes the list of the one transfer. */
export async function makeRemoteLane(options: RemoteLaneOptions): Promise<RemoteLane> {
  const { service, direction, storage, index, size, seed } = options;
  const name = `${service} ${direction} lane ${index}`;
  const bare = await makePlace(options.directory, name.replaceAll(' ', '-'));
  const place: Place = { ...bare, env: { ...bare.env, ...storage.env } };
  const content = makeContent(size, seed);
  const folder = `kill-${direction}-${index}`;
  const lane: RemoteLane = {
    name,
    direction,
    service: storage,
    traits: SERVICES[service],
    place,
    events: join(place.directory, 'report/events'),
    source: `${folder}-source.bin`,
    destination: `${folder}/result.bin`,
    content,
    rate: options.rate,
    ledger: options.ledger,
    random: options.random,
    overhead: 0,
  };
  if (direction === 'down') await storage.put(lane.source, content.blocks());
  else {
    await mkdir(join(place.directory, 'in'));
    await writeFile(localSource(place), content.blocks());
  }
  await writeFile(place.list, JSON.stringify([entryOf(lane)]));
  return lane;
}

function localSource(place: Place): string {
  return join(place.directory, 'in/source.bin');
}

function entryOf({ direction, service, place, source, destination, content }: RemoteLane): object {
  const isUp = direction === 'up';
  return {
    type: 'transfer',
    lfn: 'result.bin',
    linkage: isUp ? 'output' : 'input',
    generate_checksum: true,
    src_urls: [{ site_label: 'from', url: isUp ? `file://${localSource(place)}` : service.url(source) }],
    dest_urls: [{ site_label: 'to', url: isUp ? service.url(destination) : `file://${place.destination}` }],
    checksum: { sha256: content.digest('sha256') },
  };
}

/** The command line of a run in this lane. */
export function remoteArgs({ place, events, rate }: RemoteLane): string[] {
  const files = ['--file', place.list, '--report', place.report, '--events', events];
  return ['transfer', '--quiet', '--ca', CA, '--bwlimit', String(rate), ...files];
}

/** What stands under the final name. */
export function lookThere(lane: RemoteLane): Promise<Content | undefined> {
  return lane.direction === 'up'
    ? digestAt(lane.service, lane.destination)
    : readContent(lane.place.destination);
}

/** Nothing is under the final name, or other content than is to come. */
export async function prepareThere(lane: RemoteLane, old: string | undefined): Promise<Content | undefined> {
  const { direction, service, place, destination } = lane;
  if (direction === 'up') await service.remove(destination);
  else await rm(place.destination, { force: true });
  if (old === undefined) return undefined;
  if (direction === 'up') await service.put(destination, [Buffer.from(old)]);
  else await writeFile(place.destination, old);
  return lookThere(lane);
}

/** What a run said that it did, as far as it came. */
export interface Track {
  /** Where it began to move bytes; undefined when it did not come so far. */
  readonly from: number | undefined;
  /** How far its bytes had come from the source. */
  readonly read: number;
}

/** From the events, which are written as they happen. */
export async function readTrack({ events }: RemoteLane): Promise<Track> {
  const text = await readFile(events, 'utf8').catch(() => '');
  let resumed = 0;
  let from: number | undefined;
  let read = 0;
  for (const line of text.split('\n').slice(0, -1)) {
    const event = JSON.parse(line) as { type: string; from?: number; bytes?: number };
    if (event.type === 'resumed') {
      resumed = event.from ?? 0;
      from = resumed;
      read = resumed;
    }
    if (event.type !== 'progress') continue;
    from ??= resumed;
    read += event.bytes ?? 0;
  }
  return { from, read };
}
