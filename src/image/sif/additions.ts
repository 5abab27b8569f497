import { fromText } from '../../job/byte-text.ts';
import type { Image } from '../image.ts';
import type { Addition } from '../layers/flatten.ts';
import type { MemberType } from '../tar/member.ts';
import { environmentScript, type RunConfiguration, runConfiguration, runScript } from './scripts.ts';

/** What apptainer makes of the place that an image came from: two lines of a definition file. */
export const definition = ({ name }: Image): string =>
  `bootstrap: docker\nfrom: ${name.replace(/[\r\n]/g, '')}\n`;

/** Reads the variables of the image, as the runtime does, and then runs what it is given. */
const action = (last: string): string =>
  `#!/bin/sh\nfor script in /.singularity.d/env/*.sh; do\n  if [ -f "$script" ]; then . "$script"; fi\ndone\n${last}\n`;

const ACTIONS = {
  exec: 'exec "$@"',
  run: 'exec /.singularity.d/runscript "$@"',
  shell: 'exec /bin/sh "$@"',
  start: 'exec /.singularity.d/startscript "$@"',
  test: 'if [ -x /.singularity.d/test ]; then exec /.singularity.d/test "$@"; fi',
};

/**
 * Behind the script of this name apptainer sets what `--env` and `APPTAINERENV_…` say, and without it never. It is also
 * where libraries that `--nv` and `--rocm` bring are found (apptainer 1.4.5).
 */
const BASE = `#!/bin/sh
LD_LIBRARY_PATH="\${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs"
PS1="\${PS1:-Apptainer> }"
export LD_LIBRARY_PATH PS1
`;

const SCRIPT = 0o755;
const PLAIN = 0o644;

/**
 * What apptainer has in the root of every image that it runs: how to run it, its variables and labels, and what the
 * runtime mounts something on. What is only to mount on is left as the image has it.
 */
export function additions(image: Image): Addition[] {
  const configuration = runConfiguration(image.config.bytes);
  return [
    ...MOUNT_POINTS.map(([name, mode]) => fallback('directory', name, mode)),
    ...['etc/hosts', 'etc/resolv.conf'].map((name) => fallback('file', name, PLAIN)),
    ...['', '/libs', '/actions', '/env'].map((name) => added('directory', `.singularity.d${name}`, SCRIPT)),
    ...Object.entries(files(image, configuration)).map(([name, text]) =>
      added('file', `.singularity.d/${name}`, /\.json$|^Singularity$/.test(name) ? PLAIN : SCRIPT, text),
    ),
    ...Object.entries(LINKS).map(([name, target]) => ({ ...added('symlink', name, 0o777), link: target })),
  ].map(({ link, data, isFallback, ...member }) => ({
    member: { ...NOTHING, ...member, link },
    data: Buffer.from(data),
    isFallback,
  }));
}

/** What the runtime binds something to, in images where nothing can be made; and its mode. */
const MOUNT_POINTS = [
  ['.', 0o755],
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['proc', 0o755],
  ['root', 0o700],
  ['sys', 0o755],
  ['tmp', 0o1777],
  ['var', 0o755],
  ['var/tmp', 0o1777],
] as const;

const LINKS = {
  singularity: '.singularity.d/runscript',
  environment: '.singularity.d/env/90-environment.sh',
  '.exec': '.singularity.d/actions/exec',
  '.run': '.singularity.d/actions/run',
  '.shell': '.singularity.d/actions/shell',
  '.test': '.singularity.d/actions/test',
};

function files(image: Image, configuration: RunConfiguration): Readonly<Record<string, string>> {
  return {
    Singularity: definition(image),
    'labels.json': `${JSON.stringify(sortedKeys(configuration.labels), null, '\t')}\n`,
    runscript: runScript(configuration),
    startscript: '#!/bin/sh\n',
    'env/10-docker2singularity.sh': environmentScript(configuration),
    'env/90-environment.sh': '#!/bin/sh\n',
    'env/99-base.sh': BASE,
    ...Object.fromEntries(Object.entries(ACTIONS).map(([name, last]) => [`actions/${name}`, action(last)])),
  };
}

const sortedKeys = (all: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(all).sort(([one], [other]) => (one < other ? -1 : 1)));

const NOTHING = {
  size: 0,
  uid: 0,
  gid: 0,
  modified: 0,
  major: 0,
  minor: 0,
  xattrs: new Map<string, string>(),
};

const added = (type: MemberType, name: string, mode: number, data = '', isFallback = false) => ({
  type,
  name: fromText(name),
  mode,
  data,
  link: '',
  isFallback,
});

const fallback = (type: MemberType, name: string, mode: number) => added(type, name, mode, '', true);
