// Genesys Cloud tokens from the gctokend broker of this host. index.d.ts explains each call.

export {Broker, DEFAULT_SOCKET} from "./broker.js";
export {AccessDenied, ActionNeeded, BadRequest, BrokerError, BrokerUnreachable, RejectCooldown,
        TryLater} from "./errors.js";
export {Token} from "./tokens.js";
