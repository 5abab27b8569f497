import type { ServiceFact } from '../protocol.ts';
import { shownText } from './reply.ts';
import type { Session } from './session.ts';

/** What the features of FEAT mean to transfers; FTP tells of no limits and no free space. */
export function describeSession({ control, features, protection }: Session): readonly ServiceFact[] {
  const encrypted = protection
    ? 'of login and data'
    : control.session()
      ? 'of the login alone'
      : 'none: everything travels in the clear';
  const has = (name: string) => features.has(name);
  const hashes = features.get('HASH')?.replaceAll('*', '').split(';').join(' ');
  const listing = has('MLST') ? 'exact (MLSD)' : 'as LIST prints it: no times, sizes as far as it tells them';
  const names = [...features].map(([name, rest]) => shownText(rest === '' ? name : `${name} ${rest}`));
  return [
    { label: 'TLS', text: encrypted },
    { label: 'resumes', text: has('REST') ? 'by REST' : 'perhaps: REST is not among its features' },
    { label: 'lists', text: listing },
    {
      label: 'tells',
      text:
        [has('SIZE') && 'size', has('MDTM') && 'modification time'].filter(Boolean).join(', ') || 'nothing',
    },
    { label: 'digests', text: hashes === undefined ? 'none by HASH' : `by HASH: ${shownText(hashes)}` },
    { label: 'offers', text: names.length === 0 ? 'no list of features (FEAT)' : names.join(', ') },
  ];
}
