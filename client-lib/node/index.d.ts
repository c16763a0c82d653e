/** Genesys Cloud tokens from the gctokend broker of this host.
 *
 *     import {Broker} from "gctoken";
 *
 *     const broker = new Broker();
 *     const token = await broker.token(); // .authorization, .api_url, ...
 *
 * Broker.call() repeats a call of the API whose token was refused; attach() of "gctoken/genesys" does so
 * for the official SDK. Fields and parameters have the names that they have in the broker's HTTP API. */

export const DEFAULT_SOCKET: "/run/gctokend/gctokend.sock";

/** One token, as it was at the moment of the reply. Use it at once and keep none: asking again takes
 * microseconds, and the broker replaces tokens before they expire. console.log and JSON.stringify leave
 * the token itself out, so that it gets into no log. */
export class Token {
  private constructor();
  /** the token */
  readonly access_token: string;
  /** "Bearer" */
  readonly token_type: string;
  /** seconds for which it may be used, at the moment of the reply */
  readonly expires_in: number;
  /** seconds after which a program that does keep it should ask again */
  readonly refresh_in: number;
  /** grows with each new token of the profile and never repeats */
  readonly generation: number;
  /** the first 16 hex digits of the token's SHA-256; this may be logged */
  readonly fingerprint: string;
  /** "stale": valid, but its replacement is overdue */
  readonly state: "fresh" | "stale";
  /** the broker's profile */
  readonly profile: string;
  /** of Genesys Cloud, such as "us-west-2"; empty if not configured */
  readonly region: string;
  /** of the region's API, without a slash at the end; empty if not configured */
  readonly api_url: string;
  /** the value of the request header Authorization */
  get authorization(): string;
}

export interface BrokerOptions {
  /** whose tokens; else the environment's GCTOKEN_PROFILE, else "default" */
  profile?: string;
  /** the path of the broker's socket; else GCTOKEN_SOCKET, else DEFAULT_SOCKET */
  socket?: string;
  /** seconds, for calls that name none themselves; 60 */
  wait?: number;
}

export interface Wait {
  /** seconds, rounded up to whole ones, after which the call ends at the latest, and two more if the broker
   * hangs */
  wait?: number;
}

/** Where a program gets its tokens. Use one for the whole program. Those who ask the same at the same
 * time share one request, and a few connections are kept, which do not keep the process from ending.
 *
 * Each call ends within `wait` seconds, rounded up to whole ones, and two more if the broker hangs. While
 * they last, a broker that is being restarted (for 10 s at most), is busy, or waits for the login server is
 * asked again. What remains is thrown as a BrokerError, whose kinds are in this package. */
export class Broker {
  readonly profile: string;
  readonly socket: string;
  readonly wait: number;

  /** Does not connect yet. */
  constructor(options?: BrokerOptions);

  /** The token of this moment.
   *
   * min_ttl: seconds that it must still live; if it will not, a new one is fetched first. Half of a new
   * token's lifetime at most; more throws BadRequest. */
  token(options?: Wait & {min_ttl?: number}): Promise<Token>;

  /** The API answered 401 to this token: the next one, for which all who reject the same token wait
   * together. Takes a Token, or the bare text of one, as a file with a token has it.
   *
   * Throws RejectCooldown if the token is a new one itself, and the API accepts it; TypeError if the text is
   * no token. */
  reject(token: Token | string, options?: Wait): Promise<Token>;

  /** The first token of another generation than this, or null if none came within `wait` seconds, over
   * restarts of the broker as well. For programs that hand a token on. */
  waitChange(generation: number, options?: Wait): Promise<Token | null>;

  /** What `send(token)` returns: a call of the API, with the token that it is given. A 401 or 429 is
   * recognized in a response of fetch that it returns, and in what it throws: an error of axios, or
   * anything with the HTTP status in `status` or `statusCode` and the response's `headers`. It must bear
   * to be repeated.
   *
   * After a 401 the token is rejected, and the call repeated with the next one; if that is refused as
   * well, once more after two seconds, since an API may learn of a new token a moment late. After a 429
   * it is repeated as Retry-After says, if that is five minutes at most. It is made ten times at most, and
   * then what came last is returned or thrown; so is all else, at once. `wait` is for the broker alone. */
  call<T>(send: (token: Token) => Promise<T> | T, options?: Wait): Promise<T>;

  /** Ends the idle connections. The next call opens a new one. */
  close(): void;
}

/** There is no token. The message says what was wrong, where, and what to do; it never contains a token
 * or a secret, and may be shown and logged. */
export class BrokerError extends Error {
  /** the path of the socket that was asked */
  readonly socket: string;
  /** the profile that was asked for */
  readonly profile: string;
  /** the HTTP status of the reply; 0 if there was none */
  readonly status: number;
  /** the broker's word for it, such as "login_required"; "unreachable" if there was no reply */
  readonly error: string;
  /** seconds until the broker's next attempt, if waiting helps */
  readonly retry_after?: number;
}

/** No broker listens at the socket, this user may not connect to it, or it does not answer. */
export class BrokerUnreachable extends BrokerError {}

/** The request was wrong (400), such as a `min_ttl` that no token can have, or a profile that does not
 * exist (404): repeating it is pointless. */
export class BadRequest extends BrokerError {}

/** This user may not have this profile's token (403). */
export class AccessDenied extends BrokerError {}

/** There is no token until a person acts: "client_rejected", "login_required", "revoked". */
export class ActionNeeded extends BrokerError {}

/** There was no token within `wait`; `retry_after` says when the broker tries again. */
export class TryLater extends BrokerError {}

/** The rejected token is a new one, and the API accepts it or does not say: the token is not why the API
 * answered 401, or the API does not know it yet. */
export class RejectCooldown extends TryLater {}
