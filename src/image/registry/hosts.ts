import { TransferError } from '../../errors.ts';
import { HUB } from '../reference.ts';

/** Where the API of Docker Hub answers. */
const HUB_API = 'registry-1.docker.io';

/** How registries are reached beside what their names say. */
export interface RegistrySettings {
  /** `host[:port]` that may be asked by http. */
  readonly insecure: readonly string[];
  /** `REGISTRY=HOST[/PREFIX]`, tried in this order before the registry itself. */
  readonly mirrors: readonly string[];
}

export const NO_REGISTRY_SETTINGS: RegistrySettings = { insecure: [], mirrors: [] };

/** One place that is asked for the images of a registry. */
export interface RegistryPlace {
  /** The registry that logins are looked up for: the mirror itself for a mirror. */
  readonly registry: string;
  /** `host[:port]` that is connected to. */
  readonly authority: string;
  /** Stands before the repository's name, with its slash; usually empty. */
  readonly prefix: string;
  /** http is tried where https is not spoken. */
  readonly mayBePlain: boolean;
  readonly isMirror: boolean;
}

/** RFC 6761 §6.3; whole addresses, so that `127.0.0.1.example.org` is none. */
const LOOPBACK = /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

export function isLoopback(authority: string): boolean {
  return LOOPBACK.test(authority);
}

/** The places for images of `registry`, mirrors first. Throws `invalid-request` for settings that name no host. */
export function placesOf(registry: string, settings: RegistrySettings): readonly RegistryPlace[] {
  const insecure = settings.insecure.map((host) => host.toLowerCase());
  const place = (name: string, prefix: string, isMirror: boolean): RegistryPlace => ({
    registry: name,
    authority: name === HUB ? HUB_API : name,
    prefix,
    mayBePlain: isLoopback(name) || insecure.includes(name),
    isMirror,
  });
  const mirrors = settings.mirrors.flatMap((text) => {
    const [, of, host, prefix = ''] = /^([^=\s]+)=([a-z0-9.[\]:-]+)((?:\/[a-z0-9._-]+)*)$/i.exec(text) ?? [];
    if (of === undefined || host === undefined) {
      throw new TransferError(
        'invalid-request',
        `mirror \`${text}\`: expected \`REGISTRY=HOST\`, such as \`docker.io=mirror.example.org\``,
      );
    }
    if (of.toLowerCase() !== registry) return [];
    return [place(host.toLowerCase(), prefix === '' ? '' : `${prefix.slice(1)}/`, true)];
  });
  return [...mirrors, place(registry, '', false)];
}
