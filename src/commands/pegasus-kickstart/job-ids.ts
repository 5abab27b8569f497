import type { ByteText } from '../../job/byte-text.ts';
import type { Lookup } from '../../job/words.ts';

/** Variables in which batch systems tell the id of a job, the more particular first; one of them counts. */
const BATCH_SYSTEMS = [
  ['SLURM_JOBID', 'slurm'],
  ['COBALT_JOBID', 'cobalt'],
  ['JOB_ID', 'sge'],
  ['LSB_JOBID', 'lsf'],
  ['PBS_JOBID', 'pbs'],
] as const;

/** What the record says under `jobids`. */
export function jobIds(lookup: Lookup): (readonly [key: string, value: ByteText])[] {
  const found: (readonly [string, ByteText])[] = [];
  const condor = lookup('CONDOR_JOBID');
  if (condor !== undefined) found.push(['condor', condor]);
  const gram = lookup('GLOBUS_GRAM_JOB_CONTACT');
  if (gram !== undefined) found.push(['gram', gram]);
  for (const [name, type] of BATCH_SYSTEMS) {
    const id = lookup(name);
    if (id === undefined) continue;
    found.push(['lrmtype', type], ['lrm', id]);
    break;
  }
  return found;
}
