import type { Control } from './control.ts';
import type { TlsTarget } from './dial.ts';

/** A control connection that is logged in, and what is known of the server. */
export interface Session {
  readonly control: Control;
  /** What FEAT lists (RFC 2389): upper-case names, with what stands behind them. Empty where there is no FEAT. */
  readonly features: ReadonlyMap<string, string>;
  /** The directory after login, where paths of URLs begin (RFC 1738 §3.2.2); undefined when PWD does not tell. */
  readonly home: string | undefined;
  /** Data connections are encrypted. */
  readonly protection: TlsTarget | undefined;
  /** EPSV was refused: PASV it is. */
  onlyPasv: boolean;
  /** The algorithm that HASH is set to here. */
  hash: string | undefined;
  idleSince: number;
}
