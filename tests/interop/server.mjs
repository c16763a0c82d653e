// A login server that nobody here wrote, the certified oidc-provider, and an API beside it that
// takes its tokens as any would: opaque ones are introspected (RFC 7662), JWTs are verified against
// the published keys (RFC 9068). Both are on one TLS port; whoever runs this moves its clock from
// outside, so nothing in here knows of any other time.
//
// node server.mjs SETTINGS: a JSON file with key, certificate (files), control (a Unix socket),
// lifetime (seconds) and clients [{id, secret, redirect_uris}]: with redirect_uris it is one that
// people log in to, public if its secret is null. It serves until its standard input ends.

import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';

import * as jose from 'jose';
import Provider, { errors } from 'oidc-provider';

// What a client names as `resource` decides on the format of its token; without one it is opaque.
const JWT_API = 'https://api.interop.example/';
const SCOPES = 'read write';

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const api = { id: 'api', secret: crypto.randomBytes(16).toString('hex') };
const server = https.createServer({
  key: fs.readFileSync(settings.key),
  cert: fs.readFileSync(settings.certificate),
});
server.listen(0, 'localhost');
await once(server, 'listening');
const issuer = `https://localhost:${server.address().port}`;

// The login.

const signingKey = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const oauthClient = ({ id, secret, redirect_uris: uris = [] }) => ({
  client_id: id,
  ...(secret !== null && { client_secret: secret }),
  grant_types: uris.length ? ['authorization_code', 'refresh_token'] : ['client_credentials'],
  redirect_uris: uris,
  response_types: uris.length ? ['code'] : [],
  application_type: uris.length ? 'native' : 'web',
  token_endpoint_auth_method: secret === null ? 'none' : 'client_secret_basic',
});
const provider = new Provider(issuer, {
  clients: [...settings.clients, api].map(oauthClient),
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
  jwks: { keys: [{ ...signingKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
  routes: { authorization: '/oauth/authorize', token: '/oauth/token' },
  scopes: SCOPES.split(' '),
  ttl: {
    AccessToken: settings.lifetime,
    ClientCredentials: settings.lifetime,
    ...Object.fromEntries(['Grant', 'Interaction', 'RefreshToken', 'Session'].map((what) => [what, 86400])),
  },
  // A person's login: PKCE from everybody, a refresh token for everybody, and each is good once.
  pkce: { methods: ['S256'], required: () => true },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true }, // its own pages, on which a person logs in and consents
    introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === api.id },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource) {
        if (resource !== JWT_API) throw new errors.InvalidTarget();
        return { audience: JWT_API, scope: SCOPES, accessTokenFormat: 'jwt' };
      },
    },
  },
  // Many issuers set it, this one does not by itself: the API below refuses a token before it.
  formats: { customizers: { jwt(ctx, token, { payload }) { payload.nbf = payload.iat; } } },
});

const issued = [];
const refreshes = []; // what was asked with a refresh token, and what became of it
let posts = 0;
let heads = 0;

provider.on('grant.success', async (ctx) => {
  const { access_token: token, refresh_token: refreshToken } = ctx.body;
  const found = await provider.ClientCredentials.find(token) ?? await provider.AccessToken.find(token);
  issued.push({
    token,
    fingerprint: fingerprint(token),
    client: ctx.oidc.client.clientId,
    format: found ? 'opaque' : 'jwt',
    scope: ctx.body.scope,
    refresh_token: refreshToken ?? null,
    valid_until: found?.exp ?? jose.decodeJwt(token).exp,
  });
});
const fingerprint = (text) => crypto.createHash('sha256').update(text).digest('hex').slice(0, 16);

function noteRefresh(ctx, error) {
  const { grant_type: grant, refresh_token: used } = ctx.oidc.params ?? {};
  if (grant !== 'refresh_token' || !used) return;
  refreshes.push({ used: fingerprint(used), error, successor: error ? null : fingerprint(ctx.body.refresh_token) });
}

provider.on('grant.success', (ctx) => noteRefresh(ctx, null));
provider.on('grant.error', (ctx, error) => noteRefresh(ctx, error.error_description ?? error.message));
provider.on('server_error', (ctx, error) => {
  console.error(error);
  process.exitCode = 1;
});

// The API.

const agent = new https.Agent({ keepAlive: true });
const keys = jose.createRemoteJWKSet(new URL(`${issuer}/jwks`));

async function introspect(token) {
  const request = https.request(`${issuer}/token/introspection`, {
    method: 'POST',
    agent,
    auth: `${api.id}:${api.secret}`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  request.end(new URLSearchParams({ token }).toString());
  const [response] = await once(request, 'response');
  const body = await response.setEncoding('utf8').toArray();
  if (response.statusCode !== 200) {
    throw new Error(`introspection: ${response.statusCode} ${body.join('')}`);
  }
  return JSON.parse(body.join(''));
}

// Introspection's answer for either kind of token.
async function judge(token) {
  if (!token.includes('.')) return introspect(token);
  try {
    const { payload } = await jose.jwtVerify(token, keys, {
      issuer, audience: JWT_API, typ: 'at+jwt', clockTolerance: 0,
    });
    return { active: true, ...payload };
  } catch (error) {
    if (!(error instanceof jose.errors.JOSEError)) throw error;
    return { active: false, why: error.code };
  }
}

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

function guarded(handle) {
  return (request, response) => {
    handle(request, response).catch((error) => {
      console.error(error);
      process.exitCode = 1;
      response.destroy();
    });
  };
}

async function callApi(request, response) {
  const [, token] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
  const verdict = token ? await judge(token) : { active: false };
  answer(response, verdict.active ? 200 : 401, verdict);
}

const login = provider.callback();
const apiCall = guarded(callApi);

// Whether a client that has died may still be answered: connections but those that the API above
// keeps to its own login, and requests at work.
const connected = new Set();
const own = new Set();
let working = 0;

function keep(set, socket) {
  set.add(socket);
  socket.once('close', () => set.delete(socket));
}

server.on('connection', (socket) => keep(connected, socket));
server.on('request', (request, response) => {
  posts += request.method === 'POST' && request.url === '/oauth/token';
  heads += request.method === 'HEAD';
  if (['/token/introspection', '/jwks'].includes(request.url) && !own.has(request.socket)) {
    keep(own, request.socket);
  }
  if (request.url.startsWith('/api/')) {
    apiCall(request, response);
    return;
  }
  working += 1;
  login(request, response).finally(() => { working -= 1; });
});

// What a test asks, past both.

// Exactly, and not up to a millisecond late as it stands in Date.now(): at its very tick.
function time() {
  const before = Date.now();
  let now;
  do now = Date.now(); while (now === before);
  return now / 1000;
}

const control = http.createServer((request, response) => {
  const found = {
    '/ready': () => ({ url: issuer }),
    '/time': () => ({ clocks: [time()] }),
    '/tokens': () => issued,
    '/refreshes': () => refreshes,
    '/stats': () => ({ posts, heads, busy: connected.size - own.size + working }),
  }[request.url];
  if (found) answer(response, 200, found());
  else answer(response, 404, { error: 'not found' });
});
control.listen(settings.control);

process.stdin.resume();
process.stdin.once('end', () => process.exit());
