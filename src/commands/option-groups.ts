import { CACHE_DEFAULTS, DEFAULTS } from '../defaults.ts';
import type { FormatName } from '../integrity/manifests/manifest.ts';
import { age, algorithms, bytes, choice, flag, requirement, seconds, text, texts, whole } from './option.ts';

const MIB = 1024 * 1024;

const FORMAT_WORDS: readonly FormatName[] = [
  'sums',
  'bsd',
  'meta',
  'catalog-yaml',
  'catalog-text',
  'bagit',
  'json',
  'metalink',
  'ro-crate',
  'registry',
];

/** What everything that talks to a service takes. */
export const SERVICE = {
  debug: flag({ name: 'debug', letter: 'd', help: 'tell more, with stack traces' }),
  ca: texts({
    name: 'ca',
    value: 'FILE',
    env: 'BRIDLE_CA',
    group: 'rare',
    help: 'trust these certificates, too (repeatable)',
  }),
  connectTimeout: seconds({
    name: 'connect-timeout',
    env: 'BRIDLE_CONNECT_TIMEOUT',
    initial: 10,
    shown: '10s',
    help: 'wait for a connection',
  }),
  firstByteTimeout: seconds({
    name: 'first-byte-timeout',
    env: 'BRIDLE_FIRST_BYTE_TIMEOUT',
    initial: 300,
    shown: '5m',
    help: 'wait for an answer to begin',
  }),
  stallTimeout: seconds({
    name: 'stall-timeout',
    env: 'BRIDLE_STALL_TIMEOUT',
    initial: 60,
    shown: '60s',
    help: 'wait for the next byte',
  }),
  sshHostKey: choice({
    name: 'ssh-host-key',
    value: 'POLICY',
    env: 'BRIDLE_SSH_HOST_KEY',
    words: ['verify', 'accept-new', 'off'],
    shown: 'verify',
    group: 'rare',
    help: 'verify, accept-new or off',
  }),
};

/** What everything that may keep content for others takes. */
export const CACHE = {
  cache: text({
    name: 'cache',
    value: 'DIR',
    env: 'BRIDLE_CACHE',
    help: 'keep what has a known digest for other runs',
  }),
  cacheSize: bytes({
    name: 'cache-size',
    value: 'SIZE',
    env: 'BRIDLE_CACHE_SIZE',
    min: 0,
    initial: CACHE_DEFAULTS.mostBytes,
    shown: '20G',
    group: 'rare',
    what: 'a size, such as `20G`',
    help: 'of it, what was used last',
  }),
  cacheAge: age({
    name: 'cache-age',
    env: 'BRIDLE_CACHE_AGE',
    initial: CACHE_DEFAULTS.mostAge / 1000,
    shown: '30d',
    group: 'rare',
    help: 'of it, what was used since',
  }),
};

export const ITEM_TIMEOUT = seconds({
  name: 'item-timeout',
  env: 'BRIDLE_ITEM_TIMEOUT',
  initial: DEFAULTS.itemSeconds,
  shown: '6h',
  help: 'time for one attempt at one file',
});

/** What a run of transfers takes. */
export const RUN = {
  threads: whole({
    name: 'threads',
    letter: 'n',
    env: 'BRIDLE_THREADS',
    min: 1,
    max: 1024,
    initial: DEFAULTS.threads,
    help: 'transfers at a time',
  }),
  attempts: whole({
    name: 'attempts',
    letter: 'm',
    aliases: ['max-attempts'],
    env: 'BRIDLE_ATTEMPTS',
    min: 1,
    max: 1000,
    initial: DEFAULTS.attempts,
    help: 'attempts at each file',
  }),
  checksum: algorithms({
    name: 'checksum',
    env: 'BRIDLE_CHECKSUM',
    help: 'take these digests of every file',
  }),
  checksums: texts({
    name: 'checksums',
    value: 'FILE',
    help: 'expect the digests listed there (repeatable)',
  }),
  verifyWritten: flag({ name: 'verify-written', help: 'read back what was stored' }),
  require: requirement({
    name: 'require',
    env: 'BRIDLE_REQUIRE',
    help: 'fail what is proven less (repeatable)',
  }),
  update: flag({ name: 'update', letter: 'u', help: 'leave identical destinations alone' }),
  preserve: flag({ name: 'preserve', letter: 'p', help: 'keep permissions and modification times' }),
  symlink: flag({ name: 'symlink', letter: 's', help: 'link local files instead of copying' }),
  dryRun: flag({ name: 'dry-run', help: 'only print what would be done, and why' }),
  report: text({ name: 'report', value: 'FILE', help: 'write a JSON report of every file' }),
  writeChecksums: text({
    name: 'write-checksums',
    value: 'FILE',
    help: 'write the digests of all that is done',
  }),
  checksumsFormat: choice<FormatName>({
    name: 'checksums-format',
    value: 'FORMAT',
    words: FORMAT_WORDS,
    shown: 'as its name tells',
    group: 'rare',
    help: 'how they are written down',
  }),
  blocks: text({
    name: 'blocks',
    value: 'FILE',
    help: 'write digests of blocks, for repair',
  }),
  receipts: text({
    name: 'receipts',
    value: 'FILE',
    env: 'BRIDLE_RECEIPTS',
    help: 'append a receipt of every file',
  }),
  trustUnchanged: texts({
    name: 'trust-unchanged',
    value: 'FILE',
    help: 'reuse digests of these receipts (repeatable)',
  }),
  quiet: flag({ name: 'quiet', letter: 'q', help: 'no progress, and no summary unless one fails' }),
  perHost: whole({
    name: 'per-host',
    env: 'BRIDLE_PER_HOST',
    min: 1,
    max: 1024,
    initial: undefined,
    shown: 'as --threads',
    group: 'rare',
    help: 'transfers at a time with a host',
  }),
  bandwidth: bytes({
    name: 'bwlimit',
    value: 'RATE',
    env: 'BRIDLE_BWLIMIT',
    min: 1024,
    initial: undefined,
    group: 'rare',
    what: 'bytes a second from 1K to 1024G, such as `10M`',
    help: 'bytes a second for the whole run (10M)',
  }),
  memory: bytes({
    name: 'memory',
    value: 'SIZE',
    env: 'BRIDLE_MEMORY',
    min: 4 * MIB,
    initial: DEFAULTS.memory,
    shown: '64M',
    group: 'rare',
    what: 'a size of at least 4M, such as `64M`',
    help: 'memory for bytes under way',
  }),
  retryNotFound: seconds({
    name: 'retry-not-found',
    env: 'BRIDLE_RETRY_NOT_FOUND',
    min: 0,
    initial: DEFAULTS.retryNotFoundSeconds,
    shown: '0',
    help: 'look again for absent sources',
  }),
  state: text({
    name: 'state',
    value: 'DIR',
    env: 'BRIDLE_STATE',
    group: 'rare',
    shown: '~/.local/state',
    help: 'notes of unfinished uploads',
  }),
  events: text({
    name: 'events',
    value: 'FILE',
    group: 'rare',
    help: 'write every event as JSON (- for stdout)',
  }),
  ...CACHE,
  itemTimeout: ITEM_TIMEOUT,
  ...SERVICE,
};

/** How digests are written down. */
export const FORMAT = choice<FormatName>({
  name: 'format',
  value: 'FORMAT',
  words: FORMAT_WORDS,
  help: 'how they are written down',
});
