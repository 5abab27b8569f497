import { TransferError } from '../../errors.ts';
import type { HttpClient } from '../../protocol.ts';
import type { RegistryPlace } from './hosts.ts';

/** `https://host[:port]`, or http where that is allowed and https is not spoken. `path` is asked for, without a login. */
export async function findOrigin(
  http: HttpClient,
  { authority, mayBePlain }: Pick<RegistryPlace, 'authority' | 'mayBePlain'>,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const secure = `https://${authority}`;
  if (!mayBePlain) return secure;
  try {
    const response = await http.send({ method: 'GET', url: `${secure}${path}`, redirect: 'manual', signal });
    await response.discard();
    return secure;
  } catch (error) {
    if (signal.aborted || !isNotTls(error)) throw error;
    return `http://${authority}`;
  }
}

/** The other side answered, in something else than TLS, or hung up on it. A wrong certificate is no such thing. */
function isNotTls(error: unknown): boolean {
  if (!(error instanceof TransferError)) return false;
  return error.code === 'unavailable' || error.code === 'unexpected';
}
