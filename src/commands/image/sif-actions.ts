import { resolve } from 'node:path';
import { TransferError } from '../../errors.ts';
import { digestFile } from '../../integrity/digest-file.ts';
import { formatSize, safeText } from '../../report/format.ts';
import type { Place } from '../../request.ts';
import type { Goal } from './goal.ts';
import { showBytes } from './progress.ts';
import { fetchSif, type NamedSif, readSif, type SifCall, serviceSif, withSif } from './service-sif.ts';
import type { Work } from './tools.ts';
import { makeAt } from './upload.ts';

/** What the options say stands in the environment, where services of transfers look for it. */
function callOf({ values, io, signal }: Work): SifCall {
  const { insecureRegistry, mirror, platform } = values;
  const env = {
    ...io.env,
    BRIDLE_INSECURE_REGISTRY: insecureRegistry.join(','),
    BRIDLE_REGISTRY_MIRROR: mirror.join(','),
    ...(platform === undefined ? {} : { BRIDLE_PLATFORM: platform }),
  };
  return { values, env, signal, say: (line) => io.err(`${safeText(line)}\n`) };
}

/** Of a service's file: what names exactly this one, and the digest that is known of it. */
function known({ name, digest, facts }: NamedSif) {
  const content = digest && `${digest.algorithm}:${digest.value}`;
  return { name, pinned: facts.name ?? name, digest: facts.digest ?? content, content };
}

/** `bridle image pull` of a SIF file at a service. Throws `invalid-request` for any other format. */
export async function pullSif(place: Place, goal: Goal, work: Work): Promise<void> {
  const { format, shown } = goal;
  const { values, io } = work;
  if (format !== undefined && format !== 'sif') {
    throw new TransferError(
      'invalid-request',
      `--format: a SIF file is kept as what it is: expected \`sif\`, got \`${format}\``,
    );
  }
  const progress = showBytes('pulled', undefined, values.quiet, io);
  const call = { ...callOf(work), onBytes: progress.onBytes };
  const { sif, bytes, resumedFrom } = await makeAt(goal, work, (path) =>
    fetchSif(place, path, call).finally(progress.end),
  );
  if (!values.quiet && resumedFrom > 0) {
    io.err(`it goes on behind ${formatSize(resumedFrom)} of an earlier pull\n`);
  }
  const { name, pinned, digest, content } = known(sif);
  const { platform } = sif.facts;
  if (values.json) {
    return io.out(
      `${JSON.stringify({ name, digest, content, platform, file: goal.path, format: 'sif', bytes })}\n`,
    );
  }
  const what = [platform, content, formatSize(bytes)].filter((part) => part !== undefined).join(', ');
  io.out(`${safeText(pinned)}\n  ${safeText(`${what} → ${shown}`)} (sif)\n`);
}

/** `bridle image inspect` of a SIF file at a service, without reading it. */
export function inspectSif(place: Place, work: Work): Promise<void> {
  const { values, io } = work;
  return withSif(place, callOf(work), async ({ name, size, facts }) => {
    if (values.json) return io.out(`${JSON.stringify({ ...facts, name, pinned: facts.name, size })}\n`);
    const rows = Object.entries({ ...facts, ...(size === undefined ? {} : { size: formatSize(size) }) });
    io.out(rows.map(([label, text]) => `${label.padEnd(12)}${safeText(text)}\n`).join(''));
  });
}

/** True when one of the two names is one of a SIF file at a service. */
export function concernsSif(name: string, other: string | undefined): boolean {
  return serviceSif(name) !== undefined || (other !== undefined && serviceSif(other) !== undefined);
}

/** `bridle image verify` where one is a SIF file at a service: reads the first, and compares both by their sha256. */
export async function verifySif(name: string, other: string | undefined, work: Work): Promise<void> {
  const { values, io } = work;
  const found = await sha256Of(name, work, 'read');
  const expected = other === undefined ? undefined : await sha256Of(other, work, 'ask');
  if (expected && expected.sha256 !== found.sha256) {
    throw new TransferError(
      'digest-mismatch',
      `\`${name}\`: it is \`sha256:${found.sha256}\`, \`${other}\` is \`sha256:${expected.sha256}\``,
    );
  }
  const { sha256, bytes, proof } = found;
  if (values.json) return io.out(`${JSON.stringify({ name, content: `sha256:${sha256}`, bytes, proof })}\n`);
  if (values.quiet) return;
  const by = expected ? `the same as ${other}` : PROOFS[proof];
  io.out(`${safeText(`${name}: sha256:${sha256}, ${formatSize(bytes)}: ${by}`)}\n`);
}

const PROOFS = {
  service: 'it has the digest that the service tells',
  none: 'the service tells no digest to compare with',
};

interface Read {
  readonly sha256: string;
  readonly bytes: number;
  /** Who has told a digest that it was compared with. */
  readonly proof: keyof typeof PROOFS;
}

/** `ask`: a service's word is enough where it gives one. */
async function sha256Of(name: string, work: Work, how: 'read' | 'ask'): Promise<Read> {
  const place = serviceSif(name);
  if (!place) {
    const { size, digests } = await digestFile({ path: resolve(name), algorithms: ['sha256'] }, work.signal);
    return { sha256: digests[0]?.value ?? '', bytes: size, proof: 'none' };
  }
  return withSif(place, callOf(work), async (sif) => {
    const { digest, size = 0 } = sif;
    const proof = digest ? 'service' : 'none';
    if (how === 'ask' && digest?.algorithm === 'sha256') return { sha256: digest.value, bytes: size, proof };
    const { digests, bytes } = await readSif(sif, place.location.path, work.signal);
    const sha256 = digests.find(({ algorithm }) => algorithm === 'sha256')?.value ?? '';
    return { sha256, bytes, proof };
  });
}
