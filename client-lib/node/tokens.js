// A token as the broker hands it out.

export class Token {
  constructor(body) {
    // console.log and JSON.stringify leave it out, so that it gets into no log.
    Object.defineProperty(this, "access_token", {value: body.access_token});
    for (const name of ["token_type", "expires_in", "refresh_in", "generation", "fingerprint",
                        "state", "profile", "region", "api_url"])
      this[name] = body[name];
    Object.freeze(this);
  }

  get authorization() {
    return `${this.token_type} ${this.access_token}`;
  }
}

// Whether a reply brings a token, one that can be sent in a header as it is.
export function bringsToken(body) {
  return [body?.access_token, body?.token_type].every(
    (text) => typeof text === "string" && /^[!-~]+$/.test(text));
}
