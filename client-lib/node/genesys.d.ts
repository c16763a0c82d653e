import type {Broker} from "./index.js";

/** Makes an ApiClient of purecloud-platform-client-v2 take its tokens from the broker, and returns it:
 *
 *     import platformClient from "purecloud-platform-client-v2";
 *     import {attach} from "gctoken/genesys";
 *
 *     await attach(platformClient.ApiClient.instance);
 *     const api = new platformClient.UsersApi();
 *
 * Every request then has the token of its moment. On a 401 that token is rejected and the request
 * repeated, a 429 is waited out: see Broker.call(), which says how often. The ApiClient's gateway becomes
 * the API that belongs to the broker's profile, if the broker knows it and no gateway was set before;
 * from then on the SDK does not read its configuration file again.
 *
 * The HTTP client that the ApiClient has is kept, with its time limit, agents and hooks, which may be
 * set before or afterwards; hooks see the token. Neither the SDK's log nor what its calls throw contains
 * it. setAccessToken() and the logins of the ApiClient are not needed, and end the attachment.
 *
 * apiClient: of a version of the SDK that has setHttpClient.
 *
 * Throws a BrokerError if the broker has no token now, and TypeError if it is no such ApiClient. */
export function attach<T extends object>(apiClient: T, broker?: Broker): Promise<T>;
