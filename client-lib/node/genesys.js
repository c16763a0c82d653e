// The official SDK of Genesys Cloud (purecloud-platform-client-v2) with tokens from the broker.

import {Broker} from "./broker.js";

// The SDK writes this where its own token would be, and nothing else does: so requests that it makes
// without a token, or with other credentials (logins, guest chats), are told from those that want one.
const MARK = "taken-from-gctokend";
const MARKED = `Bearer ${MARK}`;

const attached = new WeakMap(); // our HTTP client to the one that it stands before

export async function attach(apiClient, broker = new Broker()) {
  if (typeof apiClient?.setHttpClient !== "function")
    throw new TypeError("gctoken/genesys: attach() takes an ApiClient of purecloud-platform-client-v2," +
                        " of a version that has setHttpClient: platformClient.ApiClient.instance");
  const {api_url} = await broker.token();
  const current = apiClient.getHttpClient();
  const before = attached.get(current) ?? current;
  const client = withTokens(before, broker);
  attached.set(client, before);
  apiClient.setHttpClient(client);
  apiClient.setAccessToken(MARK);
  apiClient.authData.refreshToken = ""; // or the SDK would refresh after a 401 by itself
  if (api_url && !apiClient.config.gateway?.host) {
    const {hostname: host, port, protocol} = new URL(api_url);
    // A file of the SDK's that changes would set its own host.
    apiClient.config.live_reload_config = false;
    apiClient.setGateway({host, port: Number(port) || -1, protocol: protocol.slice(0, -1)});
  }
  return apiClient;
}

// The HTTP client `before`, with its time limit, agents and hooks, whenever they are set; but with a
// token in each request that wants one.
function withTokens(before, broker) {
  const request = (options) => options.headers?.Authorization !== MARKED ? before.request(options) :
    broker.call((token) => send(before, options, token));
  return new Proxy(before, {
    get(target, name) {
      const member = target[name];
      if (name === "request") return request;
      return typeof member === "function" ? member.bind(target) : member;
    },
    set(target, name, value) {
      target[name] = value;
      return true;
    },
  });
}

async function send(before, options, token) {
  // The SDK logs its own afterwards.
  const copy = Object.assign(Object.create(Object.getPrototypeOf(options)), options);
  copy.headers = {...options.headers, Authorization: token.authorization};
  try {
    return await before.request(copy);
  } catch (error) {
    forget(error);
    throw error;
  }
}

// An error of axios has the request in it, with the token, and somebody may log it.
function forget(error) {
  for (const part of [error, error?.response]) {
    if (part?.config?.headers) part.config.headers.Authorization = MARKED;
    if (part?.request) part.request = undefined;
  }
}
