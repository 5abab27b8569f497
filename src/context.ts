import type { Cache } from './cache/cache.ts';
import type { Bytes } from './protocol.ts';

/** Where an S3 service is and as whom it is asked. */
export interface S3Access {
  /** Without keys, requests go unsigned. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  /** The URL names a site, and the bucket is the first part of its path. Otherwise its authority is the bucket. */
  readonly isSite: boolean;
  /** `http[s]://host[:port][/path]`; absent: Amazon's, by region. */
  readonly endpoint?: string;
  readonly region?: string;
  /** The bucket in the path, not in the host name. Default: whatever suits the endpoint. */
  readonly pathStyle?: boolean;
  /** We pay for requests to buckets of others. */
  readonly requestPayer?: boolean;
  /** Keys that may be removed by one request; default 1,000. */
  readonly deleteBatch?: number;
  /** The service compares the CRC64NVME of a whole upload in parts. Default: Amazon's does, others are not asked to. */
  readonly wholeChecksum?: boolean;
  /** Where the keys come from, or why there are none. For hints. */
  readonly source: string;
}

/** Credentials for one location. Asked for per request: token files rotate. */
export interface Secrets {
  readonly username?: string;
  readonly password?: string;
  readonly bearer?: string;
  /** Headers of a credentials section; dropped with the rest when a redirect leaves the origin. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Query of the URL when it grants access (presigned), encoded, without `?`. */
  readonly query?: string;
  /** False when the section says `verify = false`. */
  readonly verifyTls?: boolean;
  /** Shown to servers that ask for one in the TLS handshake. */
  readonly certificate?: ClientCertificate;
  /** What Google Cloud Storage is asked with besides `bearer`. */
  readonly google?: {
    /** Where the API answers instead of `https://storage.googleapis.com`: scheme, host and port. */
    readonly endpoint?: string;
    /** Owns the buckets that are made. */
    readonly project?: string;
  };
  readonly s3?: S3Access;
  /** For the schemes that ssh carries. */
  readonly ssh?: SshSecrets;
  /** For registries of images: a login that is good for tokens alone (OAuth2's refresh token). */
  readonly registry?: { readonly identityToken: string };
}

export interface ClientCertificate {
  /** Equal for the same certificate, different for another. */
  readonly id: number;
  /** PEM, its own first, then those above it. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
}

/** How to make connections that are not made by `http`. */
export interface NetSettings {
  /** With one host at a time. */
  readonly connections: number;
  /** Seconds; what is missing is as for `http`. */
  readonly timeouts?:
    | {
        readonly connect?: number | undefined;
        readonly firstByte?: number | undefined;
        readonly stall?: number | undefined;
      }
    | undefined;
  /** PEM texts of certificate authorities trusted beside the built-in ones. */
  authorities(): Promise<readonly string[]>;
  /** Further ones, asked for at the first certificate of an authority that is unknown: reading them takes long. */
  moreAuthorities?(): readonly string[];
  /** False: any certificate is accepted, with a warning. */
  readonly verifyTls: boolean;
  /** Told once per `key`. */
  warn(key: string, message: string): void;
}

/** What a protocol is told that is neither a secret nor part of a URL. */
export interface Settings {
  readonly net?: NetSettings;
  /** When `ftp` URLs use AUTH TLS: `auto` for logins with a user name where the server offers it. */
  readonly ftp?: { readonly tls: 'auto' | 'required' | 'off' };
  /** Components of a large object that are uploaded at a time; one stream without it. */
  readonly gs?: { readonly parallel: number } | undefined;
  /** How registries of images are reached, and for which platform images are taken; by default this machine's. */
  readonly registry?:
    | {
        /** `host[:port]` that may be asked by http. */
        readonly insecure: readonly string[];
        /** `REGISTRY=HOST[/PREFIX]`, tried in this order before the registry itself. */
        readonly mirrors: readonly string[];
        readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
        /** Where SIF files are made, and the directories of the programs that make them, as `PATH` has them. */
        readonly scratch?: string;
        readonly programs?: string;
      }
    | undefined;
  /** Base URLs of the services that SIF files without a host in their names are asked for at. */
  readonly sif?: { readonly library: string; readonly shub: string };
}

/** What ssh is to show and to believe. Keys stay in their files; only paths travel. */
export interface SshSecrets {
  /** `verify`: known keys only. `accept-new`: those of hosts that are not known, too; a changed one never. `off`: any. */
  readonly hostKey: 'verify' | 'accept-new' | 'off';
  /** Absolute path. Without it, ssh looks where it always does: ssh_config, the agent, `~/.ssh`. */
  readonly privateKey?: string;
  /** Absolute path of a file in place of `~/.ssh/known_hosts`. */
  readonly knownHosts?: string;
  /** Path of a file in place of `~/.ssh/config` and `/etc/ssh/ssh_config`. */
  readonly config?: string;
  /** Path of the `ssh` to run, or `none` to do without; the first in PATH otherwise. */
  readonly program?: string;
  /** Environment of ssh and of what it starts. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where `.ssh` lies. */
  readonly home: string;
}

/** `secrets()` is asked per request; `again` after a 401, past every cache. `http` is the one client. */
export interface Context {
  readonly http: HttpClient;
  /** Differs where the secrets may differ, for `service`. Holds none itself. */
  readonly identity?: string;
  readonly settings?: Settings | undefined;
  secrets(again?: boolean): Promise<Secrets>;
  /** User name of the URL: part of who we are at the service. */
  readonly username?: string | undefined;
  /** What an image is wanted as: `docker`, `singularity`. */
  readonly format?: string | undefined;
  /** Keeps what has a digest for all processes of the machine. */
  readonly cache?: Cache | undefined;
}

export interface HttpRequest {
  readonly method: string;
  /** Absolute http or https URL without userinfo and without the secret query. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Streamed once. A body that must be sent again (redirect, 401) is only possible while none of it was asked for. */
  readonly body?: Bytes | undefined;
  /** Bytes of the body; without it the body is sent chunked. */
  readonly size?: number | undefined;
  /** Past caching proxies: no proxy, `cache-control: no-cache`. */
  readonly fresh?: boolean | undefined;
  /** For services that would decode what they store gzipped (Google's) for clients that do not take it. Nothing is decoded here. */
  readonly takesGzip?: boolean | undefined;
  readonly secrets?: ((again?: boolean) => Promise<Secrets>) | undefined;
  /** Redirects are answers like any other: for requests whose signature covers where they go. */
  readonly redirect?: 'manual' | undefined;
  /** User name and password go only to a server that asked for them, and in the way it asked. */
  readonly asksFirst?: boolean | undefined;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer came from after redirects; no secrets. */
  readonly url: string;
  /** As received: transfer coding removed, content coding kept. A body shorter than declared rejects with `unavailable`. */
  readonly body: Bytes;
  /** Trailer fields; resolves once the body has ended. */
  trailers(): Promise<Readonly<Record<string, string>>>;
  /** Ends interest in the body and frees the connection. */
  discard(): Promise<void>;
}

/** Resolves with any final status but 401 with stale secrets and followed redirects; rejects with `TransferError` when there is no answer. */
export interface HttpClient {
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}
