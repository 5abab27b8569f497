import { TransferError } from '../src/errors.ts';
import { isLoopback } from '../src/image/registry/hosts.ts';
import { findOrigin } from '../src/image/registry/origin.ts';
import { sifEndpoint } from '../src/image/sif-service/endpoint.ts';
import { findInLibrary } from '../src/image/sif-service/library.ts';
import {
  libraryAuthority,
  parseLibraryReference,
  SYLABS_LIBRARY,
} from '../src/image/sif-service/reference.ts';
import type { Location } from '../src/location.ts';
import type { Context, Endpoint } from '../src/protocol.ts';

/** One SIF file of a library with the API of Sylabs'. */
export function open(location: Location, context: Context): Endpoint {
  const { http, settings = {}, identity = '', username } = context;
  const reference = parseLibraryReference(location.authority + location.path);
  if (username !== undefined) {
    throw new TransferError('invalid-request', 'a library takes tokens: expected a URL without a user', {
      hint: "a token stands in apptainer's remote.yaml or in a section of the credentials file",
    });
  }
  const { library = SYLABS_LIBRARY } = settings.sif ?? {};
  const { insecure = [], platform } = settings.registry ?? {};
  const authority = libraryAuthority(reference, library);
  const { host } = reference;

  async function baseFor(signal: AbortSignal): Promise<string> {
    if (host === undefined) return library;
    const mayBePlain = isLoopback(host) || insecure.some((one) => one.toLowerCase() === host);
    return findOrigin(http, { authority: host, mayBePlain }, '/version', signal);
  }

  return sifEndpoint(`library ${authority} ${identity}`, context, async (signal) => {
    const base = await baseFor(signal);
    // A token is the whole login: whoever reads it on the way has it.
    const isSafe = base.startsWith('https:') || isLoopback(authority);
    if (!isSafe) {
      settings.net?.warn(
        `cleartext ${base}`,
        `\`${base}\`: asked without encryption, and so without a login`,
      );
    }
    const secrets = isSafe ? (again?: boolean) => context.secrets(again) : async () => ({});
    return findInLibrary(reference, { http, base, secrets, platform, signal });
  });
}
