import type { Environment } from '../../request.ts';
import { parsePlatform } from '../platform.ts';
import { placesOf } from './hosts.ts';

/**
 * How registries are reached and for which platform images are taken: `BRIDLE_INSECURE_REGISTRY` (hosts),
 * `BRIDLE_REGISTRY_MIRROR` (`REGISTRY=HOST[/PREFIX]`), both separated by commas or spaces, and `BRIDLE_PLATFORM`. Throws
 * `invalid-request` for what cannot be meant.
 */
export function registrySettings(env: Environment) {
  const words = (text: string | undefined) => (text ?? '').split(/[\s,]+/).filter((word) => word !== '');
  const settings = {
    insecure: words(env.BRIDLE_INSECURE_REGISTRY),
    mirrors: words(env.BRIDLE_REGISTRY_MIRROR),
    scratch: env.TMPDIR || '/tmp',
    programs: env.PATH ?? '',
    ...(env.BRIDLE_PLATFORM ? { platform: parsePlatform(env.BRIDLE_PLATFORM) } : {}),
  };
  placesOf('docker.io', settings);
  return settings;
}
