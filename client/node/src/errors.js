'use strict';

/*
 * What goes wrong, as an error with the fields of the Clerk SDK's own, so that code which handles
 * Clerk's errors handles these. The SDK knows its errors by their constructor's `kind` (and in
 * older versions by `clerkError`), not by instanceof: isClerkAPIResponseError() accepts them.
 */

/* By the daemon's code, or this side's: the status and the code with which Clerk would say it. */
const MEANINGS = {
  bad_request: [400, 'request_body_invalid'],
  too_long: [400, 'request_body_invalid'],
  unknown_command: [501, 'internal_clerk_error'],
  unsupported: [501, 'internal_clerk_error'],
  denied: [403, 'authorization_invalid'],
  not_found: [404, 'resource_not_found'],
  unauthorized: [401, 'clerk_key_invalid'],
  forbidden: [403, 'authorization_invalid'],
  rejected: [422, 'form_param_value_invalid'],
  rate_limited: [429, 'too_many_requests'],
  unavailable: [503, 'service_unavailable'],
  bad_upstream: [502, 'internal_clerk_error'],
  timeout: [504, 'gateway_timeout'],
  short_lived: [422, 'form_param_value_invalid'],
  overloaded: [503, 'service_unavailable'],
  shutting_down: [503, 'service_unavailable'],
  internal: [500, 'internal_clerk_error'],

  no_daemon: [503, 'service_unavailable'],
  io: [503, 'service_unavailable'],
  closed: [503, 'service_unavailable'],
  deadline: [504, 'gateway_timeout'],
  protocol: [502, 'internal_clerk_error'],
  invalid_name: [404, 'resource_not_found'],
  invalid_argument: [422, 'form_param_value_invalid'],
};

/* A code that this version doesn't know is judged by whether a retry may help. */
const meaningOf = (code, retryMs) =>
  MEANINGS[code] ?? (retryMs === undefined ? MEANINGS.rejected : MEANINGS.unavailable);

class ClerkAPIResponseError extends Error {
  static kind = 'ClerkAPIResponseError';

  /* `code`: the daemon's, or this side's. `text`: a sentence for people. `retryMs`: when the same
   * may do better; undefined: never. */
  constructor(code, text, retryMs, cause) {
    super(text, cause === undefined ? undefined : { cause });
    const [status, clerkCode] = meaningOf(code, retryMs);
    this.clerkError = true;
    this.code = 'api_response_error';
    this.status = status;
    this.clerkTraceId = '';
    this.retryAfter = retryMs === undefined ? undefined : Math.ceil(retryMs / 1000);
    this.errors = [{ code: clerkCode, message: text, longMessage: text, meta: {} }];
    this.tokendCode = code;
    this.retryMs = retryMs;
  }

  get name() {
    return 'ClerkAPIResponseError';
  }
}

/* True where there is no daemon to talk to, as opposed to one that answers with an error. */
const isAway = (error) => error.tokendCode === 'no_daemon' || error.tokendCode === 'io';

module.exports = { ClerkAPIResponseError, isAway };
