import type { Io } from './io.ts';
import type { OptionTable } from './option.ts';
import type * as options from './options.ts';

/** Resolves with the exit status. */
export type Command = (args: readonly string[], io: Io) => Promise<number>;

export interface CommandEntry {
  readonly usage: string;
  /** One line, at most 60 columns. */
  readonly summary: string;
  /** More about it, for its help; lines of at most 78 columns. */
  readonly more?: string;
  /** Its table in `options.ts`. */
  readonly options?: keyof typeof options;
  /** Only when it is called: `--version` must not load what moves files. */
  readonly load: () => Promise<Command>;
}

/** Every command, in the order in which the help names them. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  cp: {
    usage: 'bridle cp [OPTION]... SRC... DST',
    summary: 'copy files and directories, here or from and to URLs',
    more: `SRC and DST are paths or URLs; several SRC need a directory as DST. A DST that
does not exist yet is a directory when it ends in \`/\`. \`-\` stands for standard
input as SRC and standard output as DST.`,
    options: 'CP_OPTIONS',
    load: async () => (await import('./cp.ts')).cp,
  },
  transfer: {
    usage: 'bridle transfer [OPTION]... [--file FILE]',
    summary: 'do what a transfer list says',
    more: `The list is JSON or the text format of pegasus-transfer.`,
    options: 'TRANSFER_OPTIONS',
    load: async () => (await import('./transfer.ts')).transfer,
  },
  run: {
    usage: 'bridle run [OPTION]... [--spec FILE] -- COMMAND [ARG]...',
    summary: 'run a job on verified inputs and stage out what it makes',
    more: `Inputs are fetched into a private directory and verified before COMMAND starts
there. What it makes goes out when it ends with 0. The exit status is its own;
71 when it was not started, 65 when an output is missing or wrong, 74 when one
did not arrive, 124 when its time was over.`,
    options: 'RUN_OPTIONS',
    load: async () => (await import('./run.ts')).run,
  },
  ls: {
    usage: 'bridle ls [OPTION]... PLACE...',
    summary: 'list what is in a directory',
    options: 'LS_OPTIONS',
    load: async () => (await import('./ls.ts')).ls,
  },
  stat: {
    usage: 'bridle stat [OPTION]... PLACE...',
    summary: 'tell type, size, modification time, version and digests',
    options: 'STAT_OPTIONS',
    load: async () => (await import('./stat.ts')).stat,
  },
  cat: {
    usage: 'bridle cat [OPTION]... PLACE...',
    summary: 'write files to standard output, one after the other',
    options: 'CAT_OPTIONS',
    load: async () => (await import('./cat.ts')).cat,
  },
  mkdir: {
    usage: 'bridle mkdir [OPTION]... PLACE...',
    summary: 'make directories, and those above them',
    options: 'MKDIR_OPTIONS',
    load: async () => (await import('./mkdir.ts')).mkdir,
  },
  rm: {
    usage: 'bridle rm [OPTION]... PLACE...',
    summary: 'remove files; what is not there is not missed',
    options: 'RM_OPTIONS',
    load: async () => (await import('./rm.ts')).rm,
  },
  checksum: {
    usage: 'bridle checksum [OPTION]... PLACE...',
    summary: 'make digests of files, directories and URLs',
    more: `Everything below a directory is taken. \`-\` stands for standard input. What is
written can be checked by \`bridle verify\`, and as sums or bsd by sha256sum -c.`,
    options: 'CHECKSUM_OPTIONS',
    load: async () => (await import('./checksum.ts')).checksum,
  },
  verify: {
    usage: 'bridle verify [OPTION]... MANIFEST... | ALG:HEX... PLACE...',
    summary: 'compare files with what they must be',
    more: `MANIFEST is a file or URL that lists digests, in any format of --format. After
ALG:HEX, such as sha256:9f86…, comes the file that must have this digest. Exit
status 0 only when everything asked for was proven.`,
    options: 'VERIFY_OPTIONS',
    load: async () => (await import('./verify.ts')).verify,
  },
  repair: {
    usage: 'bridle repair [OPTION]... SRC DST',
    summary: 'fetch the damaged blocks of a local file, and only those',
    more: `DST is a local file that should hold what SRC does. With --blocks its blocks are
compared with the digests there, and only the damaged ones are read of SRC;
without it all of SRC is. DST is replaced as a whole once it is right.`,
    options: 'REPAIR_OPTIONS',
    load: async () => (await import('./repair.ts')).repair,
  },
  image: {
    usage: 'bridle image ACTION [OPTION]... ARGUMENT...',
    summary: 'build, pull, convert, push and verify container images',
    more: `pull REF [FILE]      keep an image of a registry as a file
convert FILE FILE    keep it in another format
inspect REF|FILE     tell what an image is
push FILE REF        put an image under a name in a registry
verify REF|FILE [REF|FILE]
                     read every layer; compare with another image
build BUILDFILE|DIRECTORY [FILE|REF]
                     from a Dockerfile or a definition file, by an engine
prune                keep the cache to its size and age
REF is a name such as docker://quay.io/name:tag or alpine@sha256:9f86…; FILE
an archive of docker save, podman save or skopeo, a directory (OCI layout), a
SIF file, or a URL of a file. docker-archive:FILE:NAME is one of several images.
SIF files: oras://host/name:tag (push, too), library://entity/collection/name
and shub://user/name.`,
    options: 'IMAGE_OPTIONS',
    load: async () => (await import('./image.ts')).image,
  },
  clean: {
    usage: 'bridle clean [OPTION]... PLACE...',
    summary: 'find and remove what broken off transfers left behind',
    more: `At PLACE and everywhere below it: partial files under names that only bridle
makes, and what the notes of this user say of unfinished uploads. Nothing that a
process of this machine is writing is touched; other machines are told by age
alone. Uploads to S3 that no note tells of may be somebody else's: they are
listed, and stay unless others' are asked for, too.`,
    options: 'CLEAN_OPTIONS',
    load: async () => (await import('./clean.ts')).clean,
  },
  doctor: {
    usage: 'bridle doctor [OPTION]... [PLACE...]',
    summary: 'tell what works here, or with the services named',
    more: `Without PLACE: what transfers find on this machine. With it: which credential
is used and what the service can do. No secret is shown. Exit status 1 when
something will not work.`,
    options: 'DOCTOR_OPTIONS',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  completions: {
    usage: 'bridle completions bash|zsh|fish',
    summary: 'print the completions for a shell',
    load: async () => (await import('./completions.ts')).completions,
  },
  help: {
    usage: 'bridle help [COMMAND]',
    summary: 'tell of a command and its options',
    load: async () => (await import('./help.ts')).help,
  },
};

/** The command of exactly this name. */
export function findCommand(name: string): CommandEntry | undefined {
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
}

/** The option table of a command; empty for one without options. */
export async function optionsOf({ options: name }: CommandEntry): Promise<OptionTable> {
  if (name === undefined) return {};
  return (await import('./options.ts'))[name];
}
