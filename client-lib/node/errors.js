// What the broker can say instead of a token.

export class BrokerError extends Error {
  constructor(what, {socket, profile, status = 0, error = "unreachable", retry_after, cause}) {
    super(what, cause && {cause});
    this.name = new.target.name;
    Object.assign(this, {socket, profile, status, error, retry_after});
  }
}

export class BrokerUnreachable extends BrokerError {}
export class BadRequest extends BrokerError {}
export class AccessDenied extends BrokerError {}
export class ActionNeeded extends BrokerError {}
export class TryLater extends BrokerError {}
export class RejectCooldown extends TryLater {}

const uid = process.getuid?.();

const TO_DO = {
  access_denied: () => `if it should have it, name user ${uid} in allow_users or one of its groups` +
    " in allow_groups of the profile, and reload gctokend",
  unknown_profile: () => "GCTOKEN_PROFILE or new Broker({profile}) names it; `gctoken status` lists" +
    " what there is",
  client_rejected: () => "an administrator has to set the client's id and secret right:" +
    " `gctoken doctor` tells what is wrong",
  login_required: (profile) => `somebody has to log in: \`gctoken login --profile ${profile}\``,
  revoked: (profile) =>
    `an administrator has to allow it again: \`gctoken refresh --profile ${profile}\``,
  temporarily_unavailable: (profile) =>
    `try again later; \`gctoken why --profile ${profile}\` tells more`,
  timeout: () => "ask again, or with a longer wait",
};

function kindOf(status, error) {
  if (status === 403) return AccessDenied;
  if (["client_rejected", "login_required", "revoked"].includes(error)) return ActionNeeded;
  if (error === "reject_cooldown") return RejectCooldown;
  if (status === 408 || status === 429 || status >= 500) return TryLater;
  return BadRequest;
}

// What a reply says of a time to wait, if it is one.
function seconds(value) {
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

// The error for a reply that brings no token.
export function refusal(status, reply, socket, profile) {
  const body = reply ?? {};
  const error = String(body.error ?? "unexpected_reply");
  const words = body.error_description ?? "a reply that this program does not know";
  const toDo = Object.hasOwn(TO_DO, error) ? `; ${TO_DO[error](profile)}` : "";
  const Kind = kindOf(status, error);
  return new Kind(`no token of profile ${profile} from ${socket}: ${words} (${status} ${error})${toDo}`,
                  {socket, profile, status, error, retry_after: seconds(body.retry_after)});
}

// The error for a broker that could not be asked.
export function unreachable(cause, socket, profile) {
  let what = cause.message;
  let toDo = "`gctoken doctor` looks into it";
  if (cause.code === "ETIMEDOUT") {
    what = "it does not answer";
    toDo = "`systemctl status gctokend` and its journal tell what it does";
  } else if (cause.code === "EACCES" || cause.code === "EPERM") {
    what = `user ${uid} may not connect to it`;
    toDo = "add the user to the socket's group (`ls -l` shows it, usually gctoken), and start the" +
      " program in a new session";
  } else if (cause.code === "ENOENT" || cause.code === "ECONNREFUSED") {
    what = "no broker listens there";
    toDo = "start it (`systemctl start gctokend.socket`), or name another socket in GCTOKEN_SOCKET";
  }
  return new BrokerUnreachable(`no token of profile ${profile} from ${socket}: ${what}; ${toDo}`,
                               {socket, profile, cause});
}
