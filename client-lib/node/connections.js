// HTTP over the broker's socket, by connections that are kept.

import http from "node:http";

const KEPT = 8; // for later; idle ones do not keep the process from ending

export class Connections {
  #agent = new http.Agent({keepAlive: true, maxFreeSockets: KEPT});
  #socketPath;
  #underway = new Map();

  constructor(socketPath) {
    this.#socketPath = socketPath;
  }

  // One request: {status, body}, with {} for a body that is not there. Throws if there is no complete
  // reply in `timeout` seconds. A thousand promises that ask the same at the same time are one
  // request: the broker has one answer for them, and connections are few.
  ask(method, target, timeout) {
    const key = `${method} ${target}`;
    let reply = this.#underway.get(key);
    if (!reply) {
      reply = this.#ask(method, target, timeout).finally(() => this.#underway.delete(key));
      this.#underway.set(key, reply);
    }
    return reply;
  }

  async #ask(method, target, timeout) {
    const until = performance.now() + 1000 * timeout;
    for (;;) {
      const request = http.request({socketPath: this.#socketPath, agent: this.#agent, method,
                                    path: target, headers: {Host: "localhost"}});
      try {
        return await complete(request, until);
      } catch (error) {
        // A kept connection may have ended since; asking again does no harm.
        if (!request.reusedSocket || !["ECONNRESET", "EPIPE"].includes(error.code)) throw error;
      }
    }
  }

  // Ends the idle ones.
  close() {
    for (const socket of Object.values(this.#agent.freeSockets).flat()) socket.destroy();
  }
}

function complete(request, until) {
  return new Promise((resolve, reject) => {
    // The whole reply has to be there by then, in whatever pieces it comes.
    const timer = setTimeout(() => request.destroy(
      Object.assign(new Error("it does not answer"), {code: "ETIMEDOUT"})),
      Math.max(until - performance.now(), 0));
    const failed = (error) => {
      clearTimeout(timer);
      reject(error);
    };
    request.on("error", failed);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => text += part);
      response.on("error", failed);
      response.on("end", () => {
        clearTimeout(timer);
        try {
          resolve({status: response.statusCode, body: text ? JSON.parse(text) : {}});
        } catch {
          // The parser's own words could quote a token.
          reject(new Error("the reply is no JSON"));
        }
      });
    });
    request.end();
  });
}
