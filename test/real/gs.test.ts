import { CHUNK_BYTES } from '../../src/gcs/upload.ts';
import { conformance } from '../conformance.ts';
import { gcsSubject } from '../gcs-subject.ts';

conformance('gs, the emulator', gcsSubject, {
  heldBack: CHUNK_BYTES,
  refusedNames: ['new\nline'],
  tellsNoLeftovers: true,
});
