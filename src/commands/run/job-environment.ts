import { environmentOf, type RawEnvironment, startEnvironment } from '../pegasus-kickstart/environment.ts';

/** Names, from their beginning, of what shows services who is asking, or tells where that is. */
const CREDENTIALS =
  /^(?:PEGASUS_CREDENTIALS|X509_USER_|S3CFG|BOTO_CONFIG|SSH_PRIVATE_KEY|SSH_AUTH_SOCK=|IRODS_|GOOGLE_|CLOUDSDK_|AWS_|BEARER_TOKEN|NETRC=|BRIDLE_)/;

/**
 * The environment that the launcher was started with (`handedOn`), else that of this process: byte for byte, without
 * credentials unless they are to be passed on.
 */
export function jobEnvironment(handedOn: string | undefined, isPassed: boolean): RawEnvironment {
  const all = startEnvironment(handedOn).entries();
  return environmentOf(all.filter((entry) => isPassed || !CREDENTIALS.test(entry)));
}

/** Whether a variable of this name shows services who is asking, or tells where that is. */
export function isCredential(name: string): boolean {
  return CREDENTIALS.test(`${name}=`);
}
