import type { Credentials } from '../credentials/credentials.ts';
import type { Endpoints } from '../endpoints.ts';
import * as library from '../library/endpoints.ts';
import { readCertificateFile } from '../library/trust.ts';
import type { HttpClient } from '../protocol.ts';
import type { Environment } from '../request.ts';
import type { Values } from './option.ts';
import type { STAT_OPTIONS } from './options.ts';

/** What a command says about the services that it talks to. */
export type ServiceValues = Pick<
  Values<typeof STAT_OPTIONS>,
  'ca' | 'connectTimeout' | 'firstByteTimeout' | 'stallTimeout' | 'sshHostKey'
>;

export interface SessionTools extends library.RunTools {
  readonly env: Environment;
}

/** Endpoints for one run, as the library opens them. Throws `invalid-request` for settings that cannot be honoured. */
export function openSession(values: ServiceValues, tools: SessionTools): Endpoints {
  return library.openEndpoints(serviceOptions(values, tools.env), tools);
}

/** An HTTP client as the endpoints of such a run have it. */
export function openHttp(values: ServiceValues, tools: SessionTools): HttpClient {
  return library.openHttp(serviceOptions(values, tools.env), tools);
}

/** What this user has to show services. */
export function openCredentials(
  { env, warn }: Pick<SessionTools, 'env' | 'warn'>,
  sshHostKey: ServiceValues['sshHostKey'],
): Promise<Credentials> {
  return library.openCredentials({ env, sshHostKey }, warn);
}

/** Files named on the command line are read at once, so that a wrong name is told before anything starts. */
function serviceOptions(values: ServiceValues, env: Environment): library.ServiceOptions {
  return {
    env,
    ca: readCertificateFiles(values.ca),
    sshHostKey: values.sshHostKey,
    timeouts: {
      connect: values.connectTimeout,
      firstByte: values.firstByteTimeout,
      stall: values.stallTimeout,
    },
  };
}

/** The certificates that `--ca` names. */
export function readCertificateFiles(files: readonly string[]): readonly string[] {
  return files.flatMap((file) => readCertificateFile(file, '--ca'));
}
