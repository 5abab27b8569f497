import { isAbsolute, join } from 'node:path';

/**
 * Where state that outlives a run goes when nobody says otherwise: `bridle` below `XDG_STATE_HOME`, else below
 * `.local/state` of the home directory (XDG Base Directory Specification 0.8; a relative path counts as none).
 */
export function stateDirectory(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const state = env.XDG_STATE_HOME;
  return join(state && isAbsolute(state) ? state : join(env.HOME || home, '.local/state'), 'bridle');
}
