// The broker of this host, as a program sees it.

import {createHash} from "node:crypto";
import {setTimeout as sleep} from "node:timers/promises";
import {retryAfterOf, statusOfError, statusOfResult} from "./api_responses.js";
import {Connections} from "./connections.js";
import {RejectCooldown, refusal, unreachable} from "./errors.js";
import {Token, bringsToken} from "./tokens.js";

export const DEFAULT_SOCKET = "/run/gctokend/gctokend.sock";

// Seconds.
const ABSENT = 10; // for which a broker that is not there may be restarting
const FORBIDDEN = 2; // ... and for which its new socket may not have its group yet
const GRACE = 2; // for which a reply may be late
const TURN = 60; // that one request waits at most, unless max_wait of the broker is below
const LATE = 2; // that an API may take to learn of a new token
const TRIES = 10; // of a call
const LONGEST = 300; // for which a call leaves the API alone

const now = () => performance.now() / 1000;

export class Broker {
  #connections;
  #turn = TURN;

  constructor({profile, socket, wait = 60} = {}) {
    this.profile = profile || process.env.GCTOKEN_PROFILE || "default";
    this.socket = socket || process.env.GCTOKEN_SOCKET || DEFAULT_SOCKET;
    this.wait = wait;
    this.#connections = new Connections(this.socket);
  }

  close() {
    this.#connections.close();
  }

  token({min_ttl, wait} = {}) {
    return this.#ask("GET", "/v1/token", min_ttl === undefined ? {} : {min_ttl}, wait);
  }

  async reject(token, {wait} = {}) {
    const query = typeof token === "string" ? {fingerprint: fingerprintOf(token)} :
      {generation: token.generation};
    return this.#ask("POST", "/v1/token/reject", query, wait);
  }

  waitChange(generation, {wait} = {}) {
    return this.#ask("GET", "/v1/token", {after: generation}, wait);
  }

  async call(send, {wait} = {}) {
    let token = await this.token({wait});
    let refused = 0;
    for (let left = TRIES - 1; ; left--) {
      let outcome, threw = false;
      try {
        outcome = await send(token);
      } catch (error) {
        outcome = error;
        threw = true;
      }
      const status = threw ? statusOfError(outcome) : statusOfResult(outcome);
      const pause = status === 429 ? retryAfterOf(outcome) : 0;
      const again = (status === 401 && refused < 2) || (status === 429 && pause <= LONGEST);
      if (left === 0 || !again) {
        if (threw) throw outcome;
        return outcome;
      }
      // Nobody will read it; somebody may have, and then it is locked.
      if (!threw) await outcome.body?.cancel?.().catch(() => {});
      if (status === 429) {
        await sleep(1000 * pause);
        token = await this.token({wait});
      } else {
        token = await this.#next(token, ++refused, wait);
      }
    }
  }

  // After the first or second 401 of a call.
  async #next(token, refused, wait) {
    if (refused === 1) {
      try {
        return await this.reject(token, {wait});
      } catch (error) {
        if (!(error instanceof RejectCooldown)) throw error;
      }
    }
    await sleep(1000 * LATE);
    return await this.token({wait});
  }

  // Asks until there is a token, a refusal that time does not mend, or no time left. That does no
  // harm: a second rejection of the same token joins the first.
  async #ask(method, route, query, wait = this.wait) {
    const until = now() + Number(wait);
    let goneSince, most = this.#turn;
    for (;;) {
      const left = Math.max(until - now(), 0);
      const turn = Math.min(Math.ceil(left), most);
      const parameters = new URLSearchParams({profile: this.profile, wait: turn, ...query});
      let reply, cause;
      try {
        reply = await this.#connections.ask(method, `${route}?${parameters}`,
                                            Math.min(left, turn) + GRACE);
      } catch (error) {
        cause = error;
      }
      let pause = 0.1;
      if (cause) {
        goneSince ??= now();
        const patience = ["EACCES", "EPERM"].includes(cause.code) ? FORBIDDEN : ABSENT;
        if (now() + pause > Math.min(until, goneSince + patience))
          throw unreachable(cause, this.socket, this.profile);
      } else {
        goneSince = undefined;
        if (reply.status !== 400) {
          this.#turn = most;
        } else if (turn > 1) { // perhaps more than its max_wait
          most = Math.max(Math.floor(turn / 8), 1);
          continue;
        }
        if (reply.status === 200) {
          if (bringsToken(reply.body)) return new Token(reply.body);
          throw refusal(200, {}, this.socket, this.profile); // somebody else's socket
        }
        if (reply.status === 304) { // a broker that stops does not wait until the end
          if (now() + pause > until) return null;
        } else {
          pause = pauseAfter(refusal(reply.status, reply.body, this.socket, this.profile), until);
        }
      }
      await sleep(1000 * pause);
    }
  }
}

// Seconds until asking again could help; throws the error if that is never, or too late.
function pauseAfter(error, until) {
  let pause = 0.1;
  if (error.error !== "timeout" && error.error !== "request_timeout") {
    if (error.retry_after === undefined || error instanceof RejectCooldown) throw error;
    pause = error.retry_after;
  }
  if (now() + pause > until) throw error;
  return pause;
}

// By which the broker knows a token.
function fingerprintOf(text) {
  const token = text.trim();
  if (!/^[!-~]+$/.test(token))
    throw new TypeError("gctoken: reject() takes a Token, or the text of one alone");
  return createHash("sha256").update(token).digest("hex").slice(0, 16);
}
