import { DEFAULTS } from '../defaults.ts';
import { BUILDERS } from '../image/build/builder.ts';
import { ENGINES } from '../job/containers/engine.ts';
import { age, algorithms, choice, flag, seconds, text, texts, whole } from './option.ts';
import { CACHE, FORMAT, ITEM_TIMEOUT, RUN, SERVICE } from './option-groups.ts';

/** `bridle transfer`. */
export const TRANSFER_OPTIONS = {
  file: text({ name: 'file', letter: 'f', value: 'FILE', help: 'the list; standard input without it' }),
  ...RUN,
  removeAnyway: flag({
    name: 'remove-anyway',
    group: 'rare',
    help: 'remove even when a transfer failed',
  }),
};

/** `bridle cp`. */
export const CP_OPTIONS = {
  recursive: flag({ name: 'recursive', letter: 'r', help: 'copy directories' }),
  include: texts({ name: 'include', value: 'GLOB', help: 'with -r: copy what matches (repeatable)' }),
  exclude: texts({ name: 'exclude', value: 'GLOB', help: 'with -r: leave out what matches (repeatable)' }),
  ...RUN,
};

/** `bridle ls`. */
export const LS_OPTIONS = {
  long: flag({ name: 'long', letter: 'l', help: 'type, size and modification time, too' }),
  recursive: flag({ name: 'recursive', letter: 'r', help: 'what is below directories, too' }),
  json: flag({ name: 'json', help: 'one JSON object a line' }),
  ...SERVICE,
};

/** `bridle stat`. */
export const STAT_OPTIONS = {
  json: flag({ name: 'json', help: 'one JSON object a line' }),
  ...SERVICE,
};

/** `bridle checksum`. */
export const CHECKSUM_OPTIONS = {
  algorithm: algorithms({
    name: 'algorithm',
    letter: 'a',
    initial: ['sha256'],
    shown: 'sha256',
    help: 'digests to take, all in one pass',
  }),
  format: { ...FORMAT, shown: 'sums' },
  blocks: flag({ name: 'blocks', help: 'digests of 8 MiB blocks, too, for repair' }),
  output: text({ name: 'output', letter: 'o', value: 'FILE', help: 'write them here, once all are made' }),
  root: text({ name: 'root', value: 'DIR', help: 'write names relative to this directory' }),
  filesFrom: text({ name: 'files-from', value: 'FILE', help: 'more names, a line each (- for stdin)' }),
  null: flag({ name: 'null', letter: '0', help: 'names end in NUL, not in a newline' }),
  trustUnchanged: RUN.trustUnchanged,
  threads: RUN.threads,
  ...SERVICE,
};

/** `bridle verify`. */
export const VERIFY_OPTIONS = {
  format: { ...FORMAT, shown: 'as its name tells' },
  root: text({ name: 'root', value: 'PLACE', help: 'directory or URL that names are relative to' }),
  extra: flag({ name: 'extra', help: 'files that no manifest names are wrong, too' }),
  receipts: text({ name: 'receipts', value: 'FILE', help: 'what these receipts say, and their chain' }),
  read: flag({ name: 'read', help: 'read every byte, whatever a service says' }),
  trustUnchanged: RUN.trustUnchanged,
  verbose: flag({ name: 'verbose', letter: 'v', help: 'name what is proven, too' }),
  quiet: flag({ name: 'quiet', letter: 'q', help: 'no summary' }),
  json: flag({ name: 'json', help: 'one JSON object a line' }),
  threads: RUN.threads,
  ...SERVICE,
};

/** `bridle repair`. */
export const REPAIR_OPTIONS = {
  blocks: text({ name: 'blocks', value: 'FILE', help: 'what `checksum --blocks` wrote of SRC' }),
  dryRun: flag({ name: 'dry-run', help: 'only tell where the damage is' }),
  json: flag({ name: 'json', help: 'tell it as JSON' }),
  ...SERVICE,
};

/** `bridle run`. */
export const RUN_OPTIONS = {
  spec: text({ name: 'spec', value: 'FILE', help: 'the job as JSON' }),
  input: texts({ name: 'input', letter: 'i', value: 'LFN=URL', help: 'a file that it needs (repeatable)' }),
  output: texts({ name: 'output', letter: 'o', value: 'LFN=URL', help: 'a file that it makes (repeatable)' }),
  checksums: RUN.checksums,
  require: RUN.require,
  verifyWritten: RUN.verifyWritten,
  workDirectory: text({
    name: 'work-directory',
    letter: 'w',
    value: 'DIR',
    help: 'works in a new directory there',
  }),
  image: text({ name: 'image', value: 'IMAGE', help: 'runs it in this container image' }),
  engine: choice({
    name: 'engine',
    value: 'NAME',
    words: ['auto', ...ENGINES],
    shown: 'auto',
    help: 'what runs containers',
  }),
  mount: texts({ name: 'mount', value: '/FROM:/TO', help: 'what it sees besides (repeatable)' }),
  env: texts({ name: 'env', value: 'NAME', help: 'a variable that it gets there (repeatable)' }),
  gpus: flag({ name: 'gpus', aliases: ['nv'], help: 'it gets the GPUs there' }),
  containerArgs: texts({
    name: 'container-args',
    value: 'WORDS',
    group: 'rare',
    help: 'more for the engine (repeatable)',
  }),
  dryRun: flag({ name: 'dry-run', help: 'only print what would be run' }),
  keep: flag({ name: 'keep', help: 'leaves the work directory where it is' }),
  stdin: text({
    name: 'stdin',
    value: 'FILE',
    shown: '/dev/null',
    help: "its standard input (- for bridle's)",
  }),
  capture: flag({ name: 'capture', help: 'its output goes into the record alone' }),
  record: text({ name: 'record', value: 'FILE', help: 'appends a record as pegasus-kickstart does' }),
  json: flag({ name: 'json', help: 'what became of it, as JSON' }),
  atomicOutputs: text({
    name: 'atomic-outputs',
    value: 'URL',
    help: 'all outputs appear at once, then a list of them',
  }),
  noStrict: flag({ name: 'no-strict', help: 'outputs may be missing' }),
  passCredentials: flag({ name: 'pass-credentials', help: 'its environment names credentials, too' }),
  deadline: seconds({
    name: 'deadline',
    min: 0,
    initial: 0,
    group: 'common',
    help: 'time for everything (otherwise as Slurm says)',
  }),
  reserve: seconds({
    name: 'reserve',
    min: 0,
    initial: 0,
    help: 'of it, to stage out (a fifth, at most 5m)',
  }),
  heartbeat: seconds({ name: 'heartbeat', min: 0, initial: 0, help: 'says so often that it runs' }),
  threads: RUN.threads,
  attempts: RUN.attempts,
  quiet: RUN.quiet,
  perHost: RUN.perHost,
  bandwidth: RUN.bandwidth,
  memory: RUN.memory,
  retryNotFound: RUN.retryNotFound,
  state: RUN.state,
  ...CACHE,
  itemTimeout: ITEM_TIMEOUT,
  ...SERVICE,
};

/** `bridle doctor`. */
export const DOCTOR_OPTIONS = {
  json: flag({ name: 'json', help: 'one JSON object a line' }),
  ...SERVICE,
};

/** `bridle cat`. */
export const CAT_OPTIONS = {
  attempts: RUN.attempts,
  itemTimeout: ITEM_TIMEOUT,
  ...SERVICE,
};

/** `bridle mkdir`. */
export const MKDIR_OPTIONS = {
  attempts: RUN.attempts,
  ...SERVICE,
};

/** `bridle rm`. */
export const RM_OPTIONS = {
  recursive: flag({ name: 'recursive', letter: 'r', help: 'directories and what is in them' }),
  attempts: RUN.attempts,
  ...SERVICE,
};

/** `bridle clean`. */
export const CLEAN_OPTIONS = {
  olderThan: age({
    name: 'older-than',
    initial: 86_400,
    shown: '1d',
    help: 'what was not touched for so long',
  }),
  dryRun: flag({ name: 'dry-run', help: 'only tell what would be removed' }),
  anyOwner: flag({ name: 'any-owner', help: 'uploads, too, that others may have begun' }),
  json: flag({ name: 'json', help: 'one JSON object a line' }),
  state: RUN.state,
  ...SERVICE,
};

/** `bridle image`. */
export const IMAGE_OPTIONS = {
  format: choice<'hybrid' | 'docker-archive' | 'oci-archive' | 'oci' | 'sif' | 'sandbox'>({
    name: 'format',
    value: 'FORMAT',
    words: ['hybrid', 'docker-archive', 'oci-archive', 'oci', 'sif', 'sandbox'],
    shown: 'hybrid',
    help: 'how an image is kept',
  }),
  platform: text({
    name: 'platform',
    value: 'OS/ARCH',
    env: 'BRIDLE_PLATFORM',
    shown: "this machine's",
    help: 'which one of several',
  }),
  insecureRegistry: texts({
    name: 'insecure-registry',
    value: 'HOST',
    env: 'BRIDLE_INSECURE_REGISTRY',
    help: 'may be asked by http (repeatable)',
  }),
  mirror: texts({
    name: 'registry-mirror',
    value: 'REGISTRY=HOST',
    env: 'BRIDLE_REGISTRY_MIRROR',
    help: 'is asked before the registry (repeatable)',
  }),
  engine: choice({
    name: 'engine',
    value: 'NAME',
    words: ['auto', ...BUILDERS],
    shown: 'auto',
    help: 'build: with what',
  }),
  tag: text({ name: 'tag', value: 'NAME', help: 'build: what the image is called' }),
  context: text({ name: 'context', value: 'DIR', help: "build: where files are [the build file's]" }),
  buildArg: texts({ name: 'build-arg', value: 'NAME=VALUE', help: 'build: for ARG (repeatable)' }),
  target: text({ name: 'target', value: 'STAGE', help: 'build: the last stage that is wanted' }),
  engineArgs: texts({
    name: 'engine-args',
    value: 'WORDS',
    group: 'rare',
    help: 'build: more for the engine (repeatable)',
  }),
  dryRun: flag({ name: 'dry-run', help: 'build: only print what would be run' }),
  json: flag({ name: 'json', help: 'tell it as JSON' }),
  quiet: flag({ name: 'quiet', letter: 'q', help: 'no progress' }),
  state: { ...RUN.state, help: 'notes, what is unfinished' },
  checksums: { ...RUN.checksums, help: 'expect these digests of what is fetched' },
  ...CACHE,
  ...SERVICE,
};

/** `pegasus-transfer`: no more than it always had, so that every prefix stays as unambiguous as it was. */
export const LEGACY_OPTIONS = {
  file: text({ name: 'file', letter: 'f', value: 'FILE', help: 'the list; standard input without it' }),
  maxAttempts: whole({
    name: 'max-attempts',
    letter: 'm',
    min: 0,
    max: 1_000_000,
    initial: DEFAULTS.attempts,
    help: 'attempts at each file',
  }),
  threads: whole({
    name: 'threads',
    letter: 'n',
    min: 0,
    max: 1_000_000,
    initial: 0,
    shown: '8',
    help: 'transfers at a time',
  }),
  symlink: flag({ name: 'symlink', letter: 's', help: 'link local files instead of copying' }),
  debug: flag({ name: 'debug', letter: 'd', help: 'tell more' }),
};
