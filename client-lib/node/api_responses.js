// What an API's response says of the token, whatever HTTP client brought it.

const NOT_SAID = 10; // seconds

// What has status and headers: a response of fetch, an error of axios (in its response), or what the
// official SDK throws.
const responseOf = (outcome) => outcome?.response ?? outcome;

// The HTTP status, else 0.
export function statusOf(outcome) {
  const response = responseOf(outcome);
  return [response?.status, response?.statusCode].find(Number.isInteger) ?? 0;
}

// Seconds for which the API wants to be left alone.
export function retryAfterOf(outcome) {
  const headers = responseOf(outcome)?.headers ?? {};
  const said = headers instanceof Headers ? headers.get("retry-after") :
    Object.entries(headers).find(([name]) => name.toLowerCase() === "retry-after")?.[1];
  return /^\s*\d+\s*$/.test(said ?? "") ? Number(said) : NOT_SAID;
}
