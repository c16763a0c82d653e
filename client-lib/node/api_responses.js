// What an API's response says of the token, whatever HTTP client brought it.

import {BrokerError} from "./errors.js";

const NOT_SAID = 10; // seconds

// What has status and headers: in axios the error's response, elsewhere what was returned or thrown.
const responseOf = (outcome) => outcome?.response ?? outcome;

const isHeaders = (headers) => typeof headers?.get === "function";

// The HTTP status of what was thrown, else 0. An error of the broker has one as well, which is not the
// API's.
export function statusOfError(error) {
  if (error instanceof BrokerError) return 0;
  const response = responseOf(error);
  return [response?.status, response?.statusCode].find(Number.isInteger) ?? 0;
}

// ... of what was returned, if that is a response of fetch, and not data with a status of its own. A
// call that has succeeded does not fail because its result does not like to be looked at.
export function statusOfResult(result) {
  try {
    return isHeaders(result?.headers) ? result.status : 0;
  } catch {
    return 0;
  }
}

// Seconds for which the API wants to be left alone.
export function retryAfterOf(outcome) {
  const headers = responseOf(outcome)?.headers ?? {};
  const said = isHeaders(headers) ? headers.get("retry-after") :
    Object.entries(headers).find(([name]) => name.toLowerCase() === "retry-after")?.[1];
  return /^\s*\d+\s*$/.test(said ?? "") ? Number(said) : NOT_SAID;
}
