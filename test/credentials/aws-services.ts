import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { type S3Answer, type S3Asked, s3Failure } from '../../fixtures/misbehaving/s3-objects.ts';
import { type ScriptedS3, startScriptedS3 } from '../../fixtures/misbehaving/s3-server.ts';
import { MARK } from './scratch.ts';

/** What a service that gives keys was asked. */
export interface KeysAsked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly form: URLSearchParams;
}

/** The services of AWS that give temporary keys, on 127.0.0.1, and an S3 that takes the newest of them and no other. */
export interface AwsServices {
  /** `http://127.0.0.1:PORT`: STS, the instance's metadata, a container's agent and the SSO portal. */
  readonly url: string;
  readonly s3: ScriptedS3;
  readonly asked: readonly KeysAsked[];
  /** The answer to who shows other keys than the newest, or none. */
  refuseOld(asked: S3Asked): S3Answer | undefined;
  /** How many keys were given. */
  given(): number;
  /** The newest keys are refused from now on. */
  expire(): void;
  /** Seconds that keys given from now on say they hold. */
  lasts: number;
  /** Gives the same keys again from now on, whatever was refused. */
  isStuck: boolean;
  /** Refuses to give any, with the word of STS. */
  refusal: string | undefined;
}

/** The first part of the metadata service's paths. */
const ROLE_PATH = '/latest/meta-data/iam/security-credentials/';
/** What the metadata service wants to see first (EC2 user guide, IMDSv2). */
const IMDS_TOKEN = `imds-${MARK}`;

/** Starts them for the test that calls this; they end with it. */
export async function startAws(): Promise<AwsServices> {
  const asked: KeysAsked[] = [];
  let given = 0;
  let valid = 0;
  const s3 = await startScriptedS3();
  const services: AwsServices = {
    url: '',
    s3,
    asked,
    refuseOld: (one) => refuseOld(one, valid),
    given: () => given,
    expire: () => {
      valid = given + 1;
    },
    lasts: 3600,
    isStuck: false,
    refusal: undefined,
  };

  const keys = () => {
    if (!services.isStuck || given === 0) {
      given += 1;
      valid = given;
    }
    return {
      AccessKeyId: `KEY${given}`,
      SecretAccessKey: `secret-${MARK}-${given}`,
      token: `token-${MARK}-${given}`,
      Expiration: new Date(Date.now() + services.lasts * 1000).toISOString(),
    };
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/', headers } = request;
    const form = new URLSearchParams(await text(request));
    const path = url.split('?')[0] ?? url;
    asked.push({ method, path, headers, form });
    const json = (value: object, status = 200) =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const say = (words: string, status = 200) => void response.writeHead(status).end(words);
    if (form.has('Action')) {
      const { refusal } = services;
      const type = { 'content-type': 'text/xml' };
      if (refusal !== undefined)
        return void response.writeHead(/Failure$/.test(refusal) ? 500 : 400, type).end(stsError(refusal));
      return void response.writeHead(200, type).end(stsAnswer(form.get('Action') ?? '', keys()));
    }
    if (path === '/latest/api/token') return method === 'PUT' ? say(IMDS_TOKEN) : say('', 405);
    if (path.startsWith(ROLE_PATH)) {
      if (headers['x-aws-ec2-metadata-token'] !== IMDS_TOKEN) return say('', 401);
      if (path === ROLE_PATH) return say('the-role');
      const { token, ...rest } = keys();
      return json({ ...rest, Token: token, Code: 'Success', Type: 'AWS-HMAC' });
    }
    if (path === '/container') {
      if (headers.authorization !== `container-${MARK}`) return json({ message: 'who are you?' }, 403);
      const { token, ...rest } = keys();
      return json({ ...rest, Token: token });
    }
    if (path === '/federation/credentials') {
      if (headers['x-amz-sso_bearer_token'] !== `sso-${MARK}`) return json({ message: 'expired' }, 401);
      const { AccessKeyId, SecretAccessKey, token, Expiration } = keys();
      const expiration = Date.parse(Expiration);
      const roleCredentials = {
        accessKeyId: AccessKeyId,
        secretAccessKey: SecretAccessKey,
        sessionToken: token,
        expiration,
      };
      return json({ roleCredentials });
    }
    say('', 404);
  }

  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await s3.close();
  });
  s3.setScript(services.refuseOld);
  return Object.assign(services, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

/** Temporary keys come with their token, and only the newest ones are good. */
function refuseOld({ headers }: S3Asked, valid: number) {
  const key = /Credential=([^/]+)\//.exec(String(headers.authorization ?? ''))?.[1];
  if (key === undefined) return s3Failure(403, 'AccessDenied');
  const hasToken = headers['x-amz-security-token'] === `token-${MARK}-${key.slice('KEY'.length)}`;
  if (!hasToken) return s3Failure(403, 'InvalidToken');
  return key === `KEY${valid}` ? undefined : s3Failure(400, 'ExpiredToken');
}

function stsAnswer(action: string, keys: Readonly<Record<string, string>>): string {
  const { token = '', ...rest } = keys;
  const inner = Object.entries({ ...rest, SessionToken: token })
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('');
  const user =
    '<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>';
  const result = `<${action}Result><Credentials>${inner}</Credentials>${user}</${action}Result>`;
  return `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${result}</${action}Response>`;
}

function stsError(code: string): string {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>the message of ${code}</Message></Error>`;
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">${error}</ErrorResponse>`;
}
