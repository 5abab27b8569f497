// Faults to put into the source, one at a time, and the test that must notice each.
// `from` stands exactly once in `file`. `test` is a file and the beginning of a name in it.

/** @typedef {{ file: string, from: string, to: string, test: [file: string, name: string] }} Mutation */

const READ = 'test/faults/read.test.ts';
const DIGESTS = 'test/faults/digests.test.ts';
const LOCAL = 'test/faults/local.test.ts';
const SECRETS = 'test/faults/secrets.test.ts';
const PROCESSES = 'test/faults/processes.test.ts';
const CONFORMANCE = 'test/conformance.test.ts';
const TURNS = 'test/core/turns.test.ts';
const BYTES = 'test/core/bytes.test.ts';
const PARTIALS = 'test/core/partials.test.ts';
const CLEAN = 'test/commands/clean.test.ts';
const RESUME = 'test/core/remote-resume.test.ts';
const RANGES = 'test/dav/ranges.test.ts';
const LAUNCH = 'test/job/launch.test.ts';
const ENDING = 'test/job/ending.test.ts';
const KICKSTART = 'test/commands/pegasus-kickstart.test.ts';
const RUN = 'test/commands/run.test.ts';
const CACHE = 'test/cache/cache.test.ts';
const NEVER_WRONG = 'test/credentials/never-wrong.test.ts';

const REGISTRY = 'test/image/registry.test.ts';
const LOGIN = 'test/image/login.test.ts';
const STORE = 'test/image/store.test.ts';

/** @type {Readonly<Record<string, Mutation>>} */
export const MUTATIONS = {
  'a layer is not compared with its digest': {
    file: 'src/image/verified.ts',
    from: 'if (seen.at === size) requireDigest(seen, digest, doing);',
    to: '',
    test: [REGISTRY, 'S8 other bytes in a layer'],
  },
  'a manifest is not compared with the digest that was asked for': {
    file: 'src/image/registry/resolve.ts',
    from: 'if (expected !== undefined && digest !== expected)',
    to: 'if (false)',
    test: [REGISTRY, 'S8 whose manifest is not what was asked for'],
  },
  'the digest that a registry tells is not looked at': {
    file: 'src/image/registry/resolve.ts',
    from: "if (told?.startsWith('sha256:') && told !== digest)",
    to: 'if (false)',
    test: [REGISTRY, 'S8 whose manifest is not what the registry says'],
  },
  'the rest of a layer is believed without its beginning': {
    file: 'src/image/registry/blobs.ts',
    from: 'known?.at === start ? { hash: known.hash.copy(), at: start } : startSeen()',
    to: 'known ? { hash: known.hash.copy(), at: start } : { ...startSeen(), at: start }',
    test: [REGISTRY, 'S8 the rest of a layer'],
  },
  'a login goes by http to whatever host a registry names': {
    file: 'src/image/registry/token.ts',
    from: "if (url.protocol === 'https:' || isLoopback(url.host)) return url;",
    to: 'return url;',
    test: [LOGIN, 'S1 and names a service on another host'],
  },
  'a host that a registry sends on to may ask for the login': {
    file: 'src/image/registry/client.ts',
    from: 'parseTarget(response.url).origin.key === home',
    to: 'true',
    test: [LOGIN, 'S1 a store that asks for a login'],
  },
  'a blob of another writer is taken while it is written': {
    file: 'src/image/blob-store.ts',
    from: "!writerLives(writer[2] ?? '', facts.mtimeMs, Date.now())",
    to: 'true',
    test: [STORE, 'L13 are not taken'],
  },
  'what was left of a layer and is wrong fails the pull': {
    file: 'src/image/blob-store.ts',
    from: 'if (left === 0 || !isMismatch(error)) throw error;',
    to: 'throw error;',
    test: [STORE, 'P4 L10 go on behind'],
  },
  'a directory is an image before its layers are there': {
    file: 'src/image/keep.ts',
    from: "  await storeLayers(image.layers, { ...call, directory: join(path, 'blobs') });\n",
    to: '',
    test: [STORE, 'as a directory keeps the layers'],
  },
  "apptainer's login is shown to any registry": {
    file: 'src/credentials/registries.ts',
    from: 'if (registry !== HUB) return undefined;',
    to: '',
    test: ['test/credentials/registries.test.ts', 'S1 of apptainer'],
  },
  'a login in a file that others can read is used': {
    file: 'src/credentials/registries.ts',
    from: 'refuseExposed(parsed.found, file, uid);',
    to: '',
    test: ['test/credentials/registries.test.ts', 'S12 that others can read'],
  },
  'an archive without an end counts as whole': {
    file: 'src/image/archive/tar-files.ts',
    from: "throw new TransferError('unexpected', `${doing}: the archive ends in the middle: it has no end mark`);",
    to: 'return members;',
    test: ['test/image/archive.test.ts', 'that is cut, compressed as a whole'],
  },
  'a session for a far file that nobody took stays lent': {
    file: 'src/sftp/reach.ts',
    from: 'void one.then((lease) => lease?.release())',
    to: 'void one',
    test: ['test/sftp/reach.test.ts', 'sessions that nobody took'],
  },
  'a digest that differs counts as equal': {
    file: 'src/integrity/verification.ts',
    from: 'if (found.equal) return',
    to: 'if (found) return',
    test: [DIGESTS, 'F20 a wrong digest header'],
  },
  'the count of bytes is not compared': {
    file: 'src/proof.ts',
    from: 'if (call.size !== undefined && received !== call.size)',
    to: 'if (false)',
    test: ['test/core/stream.test.ts', 'P2 a source of unknown size'],
  },
  'a size that was asked for is not looked at': {
    file: 'src/opening.ts',
    from: 'call.size === size) return;',
    to: 'true) return;',
    test: [DIGESTS, 'P2 a source of another size'],
  },
  'the sender is not asked after the last byte': {
    file: 'src/proof.ts',
    from: 'if (last.confirm) await last.confirm();',
    to: '',
    test: [LOCAL, 'L5 a streamed source that is rewritten'],
  },
  'trailers are not read': {
    file: 'src/proof.ts',
    from: 'last.trailer ? await last.trailer() : []',
    to: '[]',
    test: [READ, 'F29 a trailer that reports failure'],
  },
  'the first answer is asked, not the last one': {
    file: 'src/stream.ts',
    from: 'opened.last = rest;',
    to: '',
    test: ['test/core/stream.test.ts', 'P1 a read that went on'],
  },
  'wrong content is kept for a resume': {
    file: 'src/stream.ts',
    from: 'const keep = !isWrong &&',
    to: 'const keep =',
    test: [DIGESTS, 'F20 a wrong digest header'],
  },
  'a commit that fails is aborted as well': {
    file: 'src/stream.ts',
    from: `    staged = undefined;
    const stored = await whole.commit(call.signal, digests);`,
    to: `    const stored = await whole.commit(call.signal, digests);
    staged = undefined;`,
    test: ['test/core/stream.test.ts', 'a commit that fails is not aborted'],
  },
  'a read is resumed without a version': {
    file: 'src/stages.ts',
    from: 'source.version === undefined || ',
    to: '',
    test: [BYTES, 'a source without a version is not resumed'],
  },
  'a body that ends early is an end': {
    file: 'src/stages.ts',
    from: 'if (size === undefined || at >= size) return;',
    to: 'return;',
    test: [BYTES, 'a body that ends early without an error'],
  },
  'a resume does not ask whether the size is the same': {
    file: 'src/stages.ts',
    from: 'if (again.size !== (size ?? again.size)) throw await differs(again);',
    to: '',
    test: [BYTES, 'a source that is another size the second time'],
  },
  'resumes without gain never end': {
    file: 'src/stages.ts',
    from: 'if (fruitless >= FRUITLESS) throw error;',
    to: '',
    test: [BYTES, 'P7 five resumes'],
  },
  'a prefix is believed without proof': {
    file: 'src/integrity/prefix.ts',
    from: 'proof.value() !== block.sha256',
    to: 'false',
    test: [BYTES, 'P4 a prefix is proven'],
  },
  'a journal of another source is believed': {
    file: 'src/opening.ts',
    from: 'source.version === header.version',
    to: 'true',
    test: ['test/core/stream.test.ts', 'P4 a source that answers with another version'],
  },
  'a permanent failure is tried again': {
    file: 'src/transfer.ts',
    from: 'return failure.transient && ',
    to: 'return ',
    test: [READ, 'F16 a redirect to itself'],
  },
  'Retry-After is not kept': {
    file: 'src/transfer.ts',
    from: 'retryAfter = Math.max(retryAfter, tried.failure.retryAfter ?? 0);',
    to: '',
    test: [READ, 'F11 an absurd Retry-After'],
  },
  'a wrong digest is not read again past the caches': {
    file: 'src/transfer.ts',
    from: '{ ...work, fresh: true }',
    to: 'work',
    test: [DIGESTS, 'F28 that serves a stale copy'],
  },
  'canceled work is given a slot': {
    file: 'src/permits.ts',
    from: 'if (signal.aborted) return Promise.reject(canceled());',
    to: '',
    test: [TURNS, 'P8 a free slot is not given'],
  },
  'a slot is not given back': {
    file: 'src/layers.ts',
    from: '      release();',
    to: '      void release;',
    test: [TURNS, 'a slot is given back when the work fails'],
  },
  'late failures count as probes': {
    file: 'src/breaker.ts',
    from: 'if (isProbe) failProbe(host, state);',
    to: 'failProbe(host, state);',
    test: [TURNS, 'a host is given up after three failed probes'],
  },
  'the folder for partials may be anybody’s': {
    file: 'src/local/partials.ts',
    from: '(stat.mode & 0o022) !== 0',
    to: 'false',
    test: [LOCAL, 'S3 one that everybody may write to'],
  },
  'a folder that was found in use is forgotten': {
    file: 'src/local/partials.ts',
    from: 'if (IN_USE.has(errnoOf(error))) used.add(folder);',
    to: 'void error;',
    test: [PARTIALS, 'P9 a folder that still holds the journal'],
  },
  'partials of live writers are taken over': {
    file: 'src/local/writer.ts',
    from: 'return now - touched < FOREIGN_LEASE_MS;',
    to: 'return false;',
    test: [PARTIALS, 'L13 what a live writer works on'],
  },
  'what a live process uploads is cleaned away': {
    file: 'src/commands/clean-find.ts',
    from: 'leftover.isInUse || note?.isInUse ||',
    to: 'false &&',
    test: [CLEAN, 'P9 L13 what this process, or any live one'],
  },
  'what others may have begun is cleaned away': {
    file: 'src/commands/clean-find.ts',
    from: '!note && !rules.anyOwner',
    to: 'false',
    test: [CLEAN, 'P9 an upload that no note tells of stays'],
  },
  'a dry run removes': {
    file: 'src/commands/clean.ts',
    from: 'if (isDryRun)',
    to: 'if (false)',
    test: [CLEAN, 'P9 --dry-run removes nothing'],
  },
  'folders of others are cleaned': {
    file: 'src/local/leftovers.ts',
    from: '|| (stat.mode & 0o022) !== 0',
    to: '',
    test: [CLEAN, 'P9 L13 removes what dead writers left'],
  },
  'two writers use one partial': {
    file: 'src/local/partials.ts',
    from: '-${writerId()}-${sequence.toString(16)}.',
    to: '-${writerId()}-1.',
    test: [PROCESSES, 'L13 two items of one run'],
  },
  'a folder that vanished is an error': {
    file: 'src/local/partials.ts',
    from: "if (errnoOf(error) !== 'ENOENT' || tries === FOLDER_TRIES) throw error;\n      forgetFolder(place);",
    to: 'throw error;',
    test: [PARTIALS, 'L13 a folder that another process removed'],
  },
  'a device is replaced by a file': {
    file: 'src/local/sink.ts',
    from: '!stat.isFile() && !stat.isSymbolicLink()',
    to: 'false',
    test: [LOCAL, 'L4 a FIFO is refused'],
  },
  'a write does not count its bytes': {
    file: 'src/local/sink.ts',
    from: 'if (call.size !== undefined && size !== call.size) {',
    to: 'if (false) {',
    test: [CONFORMANCE, 'P2 of another size than was said'],
  },
  'a lost answer of a rename is a failure': {
    file: 'src/local/sink.ts',
    from: "if (errnoOf(error) !== 'ENOENT' || !(await isAt(file, fd, path))) throw error;",
    to: 'throw error;',
    test: [PARTIALS, 'L8 a rename that was done'],
  },
  'a rename over NFS always counts as done': {
    file: 'src/local/sink.ts',
    from: 'return ours.ino === there.ino && ours.dev === there.dev;',
    to: 'return true;',
    test: [PARTIALS, 'L8 a rename that was not done'],
  },
  'a copy is taken although the source changed': {
    file: 'src/local/copy.ts',
    from: 'fileVersion(after) !== fileVersion(before) || ',
    to: '',
    test: [LOCAL, 'L5 a source that is rewritten in place while it is copied'],
  },
  'setuid comes along': {
    file: 'src/local/copy.ts',
    from: '(call.mode ?? source) & 0o777',
    to: '(call.mode ?? source)',
    test: [LOCAL, 'S6 setuid and setgid bits never come along'],
  },
  'the device is no part of a version': {
    file: 'src/regular-file.ts',
    from: '${dev}-${ino}',
    to: '${ino}',
    test: [PARTIALS, 'L7 differs between file systems'],
  },
  'a FIFO is opened': {
    file: 'src/regular-file.ts',
    from: 'if (stat.isFile()) return;',
    to: 'if (stat.isFile() || stat.isFIFO()) return;',
    test: [LOCAL, 'L6 a FIFO is refused'],
  },
  'one fsync serves renames made after it began': {
    file: 'src/local/directory-sync.ts',
    from: 'mine.next ??= mine.running.catch(() => undefined).then(() => start(directory, mine));\n  return mine.next;',
    to: 'return mine.running;',
    test: [PARTIALS, 'one fsync serves every rename'],
  },
  'a body may be shorter than declared': {
    file: 'src/http/incoming.ts',
    from: "count === left ? 'complete' : 'more'",
    to: "'complete'",
    test: ['test/http/download.test.ts', ''],
  },
  'bytes behind the body are dropped': {
    file: 'src/http/receive.ts',
    from: "if (verdict === 'extra') {",
    to: "if (verdict === 'extra' && false) {",
    test: [READ, 'F3 extra bytes'],
  },
  'a 206 may begin anywhere': {
    file: 'src/http/source.ts',
    from: 'range.start !== start || ',
    to: '',
    test: [READ, 'F7 a 206 from another offset'],
  },
  'a 200 to a range is taken': {
    file: 'src/http/source.ts',
    from: 'if (response.status === 200) {',
    to: 'if (false) {',
    test: [READ, 'F6 a 200 to a range'],
  },
  'weak validators prove a version': {
    file: 'src/http/validators.ts',
    from: '/^"[^"]*"$/.test(tag)',
    to: 'true',
    test: [READ, 'F9 a weak validator'],
  },
  'credentials follow a redirect': {
    file: 'src/http/journey.ts',
    from: '    journey.hasLeft = true;\n    journey.headers = withoutSecrets(journey.headers);',
    to: '',
    test: [SECRETS, 'F14 P10 a redirect to another origin'],
  },
  'https may redirect to http': {
    file: 'src/http/redirect.ts',
    from: 'from.origin.secure && !target.origin.secure',
    to: 'false',
    test: [SECRETS, 'F15 P10 credentials never go'],
  },
  'heads have no end': {
    file: 'src/http/head.ts',
    from: 'export const MAX_HEAD_BYTES = 64 * 1024;',
    to: 'export const MAX_HEAD_BYTES = 2 ** 40;',
    test: [READ, 'F24 a header of 1 MiB'],
  },
  'an hour is no limit for Retry-After': {
    file: 'src/http/status.ts',
    from: 'const MAX_RETRY_AFTER = 3600;',
    to: 'const MAX_RETRY_AFTER = 1e9;',
    test: [READ, 'F11 an absurd Retry-After'],
  },
  'contradictory lengths are taken': {
    file: 'src/http/head.ts',
    from: 'return values.size === 1 && ',
    to: 'return ',
    test: ['test/core/framing.test.ts', ''],
  },
  'credentials open to others are read': {
    file: 'src/credentials/credential-file.ts',
    from: '(found.mode & 0o077) === 0',
    to: 'true',
    test: ['test/credentials/faulty-files.test.ts', 'B5 S12 a credentials file open to others'],
  },
  'signed queries are no secret': {
    file: 'src/location.ts',
    from: "lower.startsWith('x-amz-')",
    to: 'false',
    test: ['test/location.test.ts', ''],
  },
  'a digest of the wrong length is accepted': {
    file: 'src/integrity/expected.ts',
    from: 'if (lower.length !== digits) {',
    to: 'if (false) {',
    test: ['test/request.test.ts', ''],
  },
  'a stored block that is another counts as proven': {
    file: 'src/prefix-proof.ts',
    from: '(await hasher.prefix()) !== block.sha256',
    to: "(await hasher.prefix()) === ''",
    test: [RESUME, 'P4 an upload that broke off is proven again'],
  },
  'a partial of another destination is gone on with': {
    file: 'src/resuming.ts',
    from: 'header.destination !== call.to.name',
    to: 'false',
    test: [RESUME, 'P4 an upload that broke off starts over when its journal'],
  },
  'the version of the source is not looked at on a resume': {
    file: 'src/resuming.ts',
    from: 'if (source?.version === version) return source;',
    to: 'if (source) return source;',
    test: [RESUME, 'P4 an upload that broke off starts over when the service ignores'],
  },
  'what a live writer holds is taken over': {
    file: 'src/remote-journals.ts',
    from: 'if (one.isInUse) continue;',
    to: '',
    test: [RESUME, 'journals of partials on services L13'],
  },
  'a handle is written for all to read': {
    file: 'src/resume-handle.ts',
    from: 'O_NOFOLLOW, 0o600)',
    to: 'O_NOFOLLOW, 0o644)',
    test: [RESUME, 'P4 an upload that broke off P10'],
  },
  'an error in a 200 of S3 counts as success': {
    file: 'src/s3/client.ts',
    from: "if (name !== 'Error') return root;",
    to: 'if (name) return root;',
    test: ['test/s3/write-faults.test.ts', 'F21 a Complete of 200'],
  },
  'an S3 upload that is gone counts as done': {
    file: 'src/s3/upload.ts',
    from: 'if (tag === undefined && !isOurs) {',
    to: 'if (false) {',
    test: ['test/s3/write-faults.test.ts', 'F22 P2 an upload that is gone'],
  },
  'the CRC64NVME of a whole upload is not told': {
    file: 'src/s3/upload.ts',
    from: 'onlyNew: call.onlyNew ?? false, crc64nvme, signal',
    to: 'onlyNew: call.onlyNew ?? false, signal',
    test: ['test/s3/write-faults.test.ts', 'P1 F26 whose whole is another'],
  },
  'a digest of digests counts as that of the whole': {
    file: 'src/s3/checksums.ts',
    from: "headers['x-amz-checksum-type'] !== 'COMPOSITE'",
    to: 'true',
    test: ['test/s3/read-faults.test.ts', 'P2 a digest of digests, marked by its type alone'],
  },
  'an S3 upload goes on behind a short part': {
    file: 'src/s3/partial.ts',
    from: 'sum === size || isShort',
    to: 'sum === size',
    test: ['test/s3/write-faults.test.ts', 'P4 L5 is gone on with before a short part'],
  },
  'keys of AWS that were refused are shown again': {
    file: 'src/credentials/aws.ts',
    from: 'again ? { forceRefresh: true } : {}',
    to: '{}',
    test: ['test/credentials/aws-chain.test.ts', 'F13 that the service refuses as expired'],
  },
  'why there is no token of Google is kept to ourselves': {
    file: 'src/gcs/api.ts',
    from: 'error === unfound || ',
    to: '',
    test: ['test/credentials/google-loopback.test.ts', 'P6 why a token is not given'],
  },
  'parts of an S3 upload are believed whatever their tags': {
    file: 'src/s3/partial.ts',
    from: 'digestTags(acknowledged) === plan.tags',
    to: 'true',
    test: ['test/s3/write-faults.test.ts', 'P4 P2 is not gone on with when a part'],
  },
  'what is known of a part of an S3 upload leaves bytes out': {
    file: 'src/s3/upload.ts',
    from: 'if (ready) digests.update(ready);',
    to: '',
    test: ['test/s3/write-faults.test.ts', 'every part of an upload of unknown size'],
  },
  'a checksum that can be forged is enough': {
    file: 'src/integrity/verification.ts',
    from: 'SETTLING.includes(d.algorithm) && ',
    to: '',
    test: ['test/core/bytes.test.ts', 'what the service stores, when one that can be forged'],
  },
  'ranges of an S3 object may be of another version': {
    file: 'src/s3/pieces.ts',
    from: 'const isSame = versionOf(bareTag(response.headers.etag)) === version;',
    to: 'const isSame = true;',
    test: ['test/s3/read-faults.test.ts', 'F8 that is another one'],
  },
  'an S3 listing that goes on counts as whole': {
    file: 'src/s3/list.ts',
    from: "if (textOf(page, 'IsTruncated') !== 'true') return;",
    to: 'if (!next) return;',
    test: ['test/s3/client.test.ts', 'that goes on without saying where'],
  },
  'sites of one host share what they show': {
    file: 'src/endpoints.ts',
    from: '${image} ${location.site} ${login}`',
    to: '${image} ${login}`',
    test: [NEVER_WRONG, 'P10 S1 by dav each side of an item'],
  },
  'users of one host share a login': {
    file: 'src/endpoints.ts',
    from: "const login = secret ? JSON.stringify([secret.username, secret.password]) : '';",
    to: "const login = secret ? '' : '';",
    test: [NEVER_WRONG, 'P10 by ftp each side of an item'],
  },
  'the file of a site is not looked at': {
    file: 'src/credentials/section-lookup.ts',
    from: 'const variable = env[ofSite] ? ofSite :',
    to: 'const variable = ',
    test: [NEVER_WRONG, 'P10 S1 by http each side of an item'],
  },
  'a redirect to another origin takes the login along': {
    file: 'src/http/journey.ts',
    from: 'if (!secrets || journey.hasLeft) return undefined;',
    to: 'if (!secrets) return undefined;',
    test: [NEVER_WRONG, 'P10 S1 by https what is for all'],
  },
  'connections are shared by whoever has a certificate': {
    file: 'src/http/connect.ts',
    from: '${certificate}${route.watchesEnd',
    to: '${route.watchesEnd',
    test: [NEVER_WRONG, 'P10 S1 by https each side of an item'],
  },
  'S3 copies for one user with the keys of another': {
    file: 'src/s3/place.ts',
    from: "${accessKeyId === '' ? 'anonymous' : identity}",
    to: '${identity.length}',
    test: [NEVER_WRONG, 'P10 S1 by s3 each side of an item'],
  },
  'buckets of Google are copied with the account of another site': {
    file: 'protocols/gs.ts',
    from: 'service: `gs ${location.site}`,',
    to: "service: 'gs',",
    test: [NEVER_WRONG, 'P10 by gs each side of an item'],
  },
  'digests in records are read as numbers': {
    file: 'src/job/reading/yaml-record.ts',
    from: "schema: 'failsafe',",
    to: "schema: 'core',",
    test: ['test/job/reading.test.ts', 'tell the outputs, as text'],
  },
  'a main job that was never started went well': {
    file: 'src/commands/pegasus-exitcode/judge.ts',
    from: 'if (raw < 0 && MAY_BE_ABSENT.has(job)) continue;',
    to: 'if (raw < 0) continue;',
    test: [
      'test/commands/pegasus-exitcode.test.ts',
      'one that could not be started after a setup that went well',
    ],
  },
  'control characters in a bad digest come through': {
    file: 'src/integrity/expected.ts',
    from: 'return safeText(text.length > 80 ? `${text.slice(0, 80)}…` : text);',
    to: 'return text.length > 80 ? `${text.slice(0, 80)}…` : text;',
    test: ['test/integrity/expected.test.ts', 'L14'],
  },
  'a small file that was replaced meanwhile has a digest': {
    file: 'src/integrity/digest-file.ts',
    from: 'now.ino !== seen.ino || now.dev !== seen.dev || !isUnchanged(seen, now)',
    to: 'false',
    test: ['test/integrity/digest-pool.test.ts', 'L5 a small file that is no longer'],
  },
  'a long list that changes between two readings goes unnoticed': {
    file: 'src/integrity/manifests/open.ts',
    from: 'if (!isSame(identityOf(seen), identityOf(fstatSync(fd, { bigint: true })))) throw',
    to: 'if (fd < 0) throw',
    test: ['test/integrity/manifests/long.test.ts', 'L5 is refused'],
  },
  'names that stand more than once in a long list all count': {
    file: 'src/commands/verify-sources.ts',
    from: 'if (!repeated.has(key)) return task;',
    to: 'if (repeated.has(key) || key) return task;',
    test: ['test/commands/verify-long.test.ts', 'P3 B6 a list too long'],
  },
  'a line that two blocks share loses its beginning': {
    file: 'src/integrity/manifests/text.ts',
    from: 'begun.length === 0 ?',
    to: 'begun.length >= 0 ?',
    test: ['test/integrity/manifests/long.test.ts', 'says the same wherever sums'],
  },
  'a file that was seen in the tick of its last change is trusted': {
    file: 'src/integrity/trusted.ts',
    from: 'return BigInt(modified) <= looked && status <= looked;',
    to: 'return true;',
    test: ['test/integrity/trusted.test.ts', 'is not used when the file was last seen in the tick'],
  },
  'a broken chain of receipts is trusted': {
    file: 'src/integrity/trusted.ts',
    from: 'if (problem !== undefined) {',
    to: 'if (false) {',
    test: ['test/integrity/trusted.test.ts', 'whose chain is broken'],
  },
  'a reused digest proves more than the size': {
    file: 'src/already.ts',
    from: "{ grade: 'size', algorithm, value, by: reused }",
    to: "{ grade: 'server', algorithm, value, by: reused }",
    test: ['test/commands/trust-unchanged.test.ts', 'cp --update leaves alone'],
  },
  'digests of blocks lack what an earlier run left': {
    file: 'src/integrity/prefix.ts',
    from: 'inBlocks?.update(buffer.subarray(0, got));',
    to: '',
    test: ['test/commands/blocks.test.ts', 'P4 they are of the whole file'],
  },
  'a server that refuses ranges is taken for one that stores them': {
    file: 'src/dav/ranged.ts',
    from: '?.equals(found) === true',
    to: '?.length !== 0',
    test: [RANGES, 'P1 P4 goes whole to a server that puts in its place and clears'],
  },
  'a server that stores more than came is taken for one that stores ranges': {
    file: 'src/dav/ranged.ts',
    from: '.size !== length) return false',
    to: '.size === 0) return false',
    test: [RANGES, 'P1 P4 goes whole to a server that makes longer'],
  },
  'the place where old and new bytes meet is not looked at': {
    file: 'src/dav/write.ts',
    from: 'if (!found?.equals(joined))',
    to: 'if (!found)',
    test: [RANGES, 'P1 P2 whose rest the server stored elsewhere'],
  },
  'partials on WebDAV servers have names that some of them do not list': {
    file: 'src/dav/write.ts',
    from: 'plainPartialName(call.key, newNonce())',
    to: '`.${plainPartialName(call.key, newNonce())}`',
    test: ['test/dav/writing.test.ts', 'P1 goes to a name of ours'],
  },
  'doctor promises for every WebDAV server that broken uploads go on': {
    file: 'src/dav/describe.ts',
    from: '[/^nginx\\b/, false]',
    to: '[/^nginx\\b/, true]',
    test: ['test/dav/describe.test.ts', 'what becomes of broken uploads is told of nginx'],
  },
  'a list says of a file what it says of one that goes elsewhere': {
    file: 'src/integrity/catalogs.ts',
    from: '...inTree].filter(isBelowRoot)',
    to: "...inTree, path.slice(path.lastIndexOf('/') + 1)].filter(isBelowRoot)",
    test: ['test/integrity/catalogs.test.ts', 'relative to where it goes, to a directory'],
  },
  'names in `json` are written by the current directory': {
    file: 'src/integrity/manifests/names.ts',
    from: "new Set(['bagit', 'json', 'ro-crate'])",
    to: "new Set(['bagit', 'ro-crate'])",
    test: ['test/commands/list-roots.test.ts', 'in `json` knows files by where it lies'],
  },
  'the key of a partial says how many endpoints were opened before': {
    file: 'src/partial-key.ts',
    from: 'endpoint.account ?? endpoint.service',
    to: 'endpoint.service',
    test: ['test/core/partial-key.test.ts', 'P4 a partial at ftp://'],
  },
  'a job inherits what else is open': {
    file: 'src/job/spawn.ts',
    from: 'libc.posix_spawn_file_actions_addclosefrom_np(actions, 3);',
    to: '',
    test: [LAUNCH, 'a job has the three descriptors'],
  },
  'a job has the signals ignored that node ignores': {
    file: 'src/job/spawn.ts',
    from: 'Buffer.alloc(ROOM, 0xff)',
    to: 'Buffer.alloc(ROOM)',
    test: [LAUNCH, 'a job has every signal at its default'],
  },
  'a job keeps the limit of open files that node raised': {
    file: 'src/job/limits.ts',
    from: 'if (lent.equals(own) ||',
    to: 'if (true ||',
    test: [LAUNCH, 'a job gets the soft limit of open files'],
  },
  'the memory of node counts as that of a job': {
    file: 'src/job/small-parent.ts',
    from: '!hasSetsid() ||',
    to: 'hasSetsid() ||',
    test: ['test/job/usage.test.ts', 'a small program is said'],
  },
  'a signal goes to the group alone': {
    file: 'src/job/kin.ts',
    from: 'const all = [-leader, ...elsewhere.map(({ pid }) => pid)];',
    to: 'const all = [-leader, ...elsewhere.map(() => -leader)];',
    test: [ENDING, 'P8 SIGTERM reaches the group'],
  },
  'what jobs leave running is left': {
    file: 'src/job/koffi-launch.ts',
    from: "if (patience === 'all') await until",
    to: 'if (mine !== undefined) return 0;\n    await until',
    test: [ENDING, 'P9 what a job leaves running is ended'],
  },
  'children of node are taken for what jobs left': {
    file: 'src/job/children.ts',
    from: 'nodes.add(child);',
    to: '',
    test: [ENDING, 'children that node started itself'],
  },
  'nobody notices that the wrapper was killed': {
    file: 'src/job/watchdog.ts',
    from: 'for leader in $leaders; do kill -s KILL -- "-$leader"; done',
    to: 'exit 0',
    test: ['test/job/wrapper.test.ts', 'started by koffi P9 what a wrapper'],
  },
  'a job that looks like a record is shown as it is': {
    file: 'src/job/captured.ts',
    from: 'if (hasMark(cleaned(shown, window))) {',
    to: 'if (false) {',
    test: ['test/job/captured.test.ts', 'S13 looks like no record'],
  },
  'a mark across two reads is cut in two': {
    file: 'src/job/captured.ts',
    from: 'return before >= 0 && from + before < at ? from + before : at;',
    to: 'return at;',
    test: ['test/job/captured.test.ts', 'S13 a mark 66 characters'],
  },
  'integrity data may hold a status': {
    file: 'src/job/integrity-data.ts',
    from: 'name === undefined || OURS.has(name) || !entry',
    to: 'name === undefined || !entry',
    test: [KICKSTART, 'S13 cannot be forged by the integrity data'],
  },
  'a backslash in double quotes goes': {
    file: 'src/job/words.ts',
    from: 'made += quote === undefined ? next : character + next;',
    to: 'made += next;',
    test: ['test/job/words.test.ts', '`"a'],
  },
  'a file that was patched has its digest as written': {
    file: 'src/job/tail-hash.ts',
    from: 'identity.size !== tail.at || !isAsRead(tail.fd, tail)',
    to: 'identity.size !== tail.at',
    test: ['test/job/tail-hash.test.ts', 'a file that is changed behind the reader'],
  },
  'a directory is an output without an error': {
    file: 'src/job/outputs.ts',
    from: 'if (!entry.stat || entry.stat.isFile()) return entry;',
    to: 'if (true) return entry;',
    test: [KICKSTART, 'that are absent or directories'],
  },
  'a cleanup is left out when a job failed': {
    file: 'src/commands/pegasus-kickstart/jobs.ts',
    from: "await side('cleanup', 'CLEANUP');",
    to: "if (mayGoOn()) await side('cleanup', 'CLEANUP');",
    test: [KICKSTART, 'runs after prejob and before postjob'],
  },
  'a record that does not fit stays cut in its file': {
    file: 'src/commands/pegasus-kickstart/write-record.ts',
    from: 'if (fd !== undefined && length !== undefined) cutBack(fd, length);',
    to: '',
    test: [KICKSTART, 'L1 whose record does not fit'],
  },
  'a job starts without its inputs': {
    file: 'src/commands/run.ts',
    from: 'if (absent.length > 0) {',
    to: 'if (absent.length > 1000) {',
    test: [RUN, 'an input with a wrong digest'],
  },
  'a job has the credentials of its wrapper': {
    file: 'src/commands/run/job-environment.ts',
    from: 'isPassed || !CREDENTIALS.test(entry)',
    to: 'isPassed || entry !== undefined',
    test: [RUN, 'names of credentials'],
  },
  'the outputs of a job that was told to end go out': {
    file: 'src/commands/run.ts',
    from: 'isCheckpoint || state.status === RUN_STATUS.done',
    to: 'isCheckpoint || state.status !== undefined',
    test: [RUN, 'an output that is missing'],
  },
  'an output is believed whatever it must be': {
    file: 'src/commands/run.ts',
    from: 'if (expected && expected.value !== output.sha256)',
    to: 'if (expected && output.sha256 === undefined)',
    test: [RUN, 'an output that is not what it must be'],
  },
  'a name leads out of the work directory': {
    file: 'src/commands/run/spec.ts',
    from: "part !== '.' && part !== '..'",
    to: "part !== '.'",
    test: [RUN, '{"inputs":[{"lfn":"../a"'],
  },
  'a changed file of the cache is still content': {
    file: 'src/cache/content.ts',
    from: 'mtimeMs === UNTOUCHED.getTime() && note',
    to: 'note',
    test: [CACHE, 'that somebody wrote to'],
  },
  'what a killed process has fetched is thrown away': {
    file: 'src/cache/fill.ts',
    from: 'if (wanted.wholly) fs.ftruncateSync',
    to: 'fs.ftruncateSync',
    test: [CACHE, 'L10 goes on where it was'],
  },
  'the claim of another container is written on in place': {
    file: 'src/cache/claim.ts',
    from: 'file !== LEFT && !isOfThisMachine(writerOf(file))',
    to: 'file === LEFT',
    test: [CACHE, 'is continued in a file of its own'],
  },
  'a process that is stopped is waited for without end': {
    file: 'src/cache/cache.ts',
    from: 'return now - since > patience;',
    to: 'return false;',
    test: [CACHE, 'P7 ends when no byte comes'],
  },
  'a wrong digest is kept': {
    file: 'src/cache/fill.ts',
    from: "'digest' in subject && subject.digest.value !== value",
    to: 'false',
    test: [CACHE, 'P2 of another digest than wanted'],
  },
};
