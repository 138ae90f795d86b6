'use strict';

/*
 * What goes wrong, as an error with the fields of the Clerk SDK's own, so that code which handles
 * Clerk's errors handles these. The SDK knows its errors by their constructor's `kind` (and in
 * older versions by `clerkError`), not by instanceof: isClerkAPIResponseError() accepts them.
 */

/* What Clerk would say, as near as the daemon's codes tell it: status, code, message. Its own words don't
 * come over the socket. */
const BAD_REQUEST = [400, 'request_body_invalid', 'Request body invalid'];
const KEY_INVALID = [
  401,
  'clerk_key_invalid',
  'The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.',
];
const UNAUTHORIZED = [403, 'authorization_invalid', 'Unauthorized request'];
const NOT_FOUND = [404, 'resource_not_found', 'not found'];
const INVALID = [422, 'form_param_value_invalid', 'is invalid'];
const TOO_MANY = [429, 'too_many_requests', 'Too many requests'];
const INTERNAL = 'Oops, an unexpected error occurred';
const UNAVAILABLE = [503, 'service_unavailable', 'Service unavailable'];
const TIMEOUT = [504, 'gateway_timeout', 'Gateway Timeout'];

/* By the daemon's code, or this side's. What a daemon says may have any name: nothing is inherited. */
const MEANINGS = {
  __proto__: null,
  bad_request: BAD_REQUEST,
  too_long: BAD_REQUEST,
  unknown_command: [501, 'internal_clerk_error', INTERNAL],
  unsupported: [501, 'internal_clerk_error', INTERNAL],
  denied: UNAUTHORIZED,
  not_found: NOT_FOUND,
  unauthorized: KEY_INVALID,
  forbidden: UNAUTHORIZED,
  rejected: INVALID,
  rate_limited: TOO_MANY,
  unavailable: UNAVAILABLE,
  bad_upstream: [502, 'internal_clerk_error', INTERNAL],
  timeout: TIMEOUT,
  short_lived: INVALID,
  overloaded: UNAVAILABLE,
  shutting_down: UNAVAILABLE,
  internal: [500, 'internal_clerk_error', INTERNAL],

  no_daemon: UNAVAILABLE,
  io: UNAVAILABLE,
  closed: UNAVAILABLE,
  deadline: TIMEOUT,
  protocol: [502, 'internal_clerk_error', INTERNAL],
  invalid_name: NOT_FOUND,
  invalid_argument: INVALID,
};

/* A code that this version doesn't know is judged by whether a retry may help. */
const meaningOf = (code, retryMs) =>
  MEANINGS[code] ?? (retryMs === undefined ? INVALID : UNAVAILABLE);

class ClerkAPIResponseError extends Error {
  static kind = 'ClerkAPIResponseError';

  /* `code`: the daemon's, or this side's. `text`: a sentence for people. `retryMs`: when the same
   * may do better; undefined: never. */
  constructor(code, text, retryMs, cause) {
    super(text, cause === undefined ? undefined : { cause });
    const [status, clerkCode, message] = meaningOf(code, retryMs);
    this.clerkError = true;
    this.code = 'api_response_error';
    this.status = status;
    this.clerkTraceId = '';
    this.retryAfter = retryMs === undefined ? undefined : Math.ceil(retryMs / 1000);
    this.errors = [{ code: clerkCode, message, longMessage: text, meta: {} }];
    this.tokendCode = code;
    this.retryMs = retryMs;
  }

  get name() {
    return 'ClerkAPIResponseError';
  }
}

/* True where there is no daemon to talk to, as opposed to one that answers with an error. */
const isAway = (error) => error?.tokendCode === 'no_daemon' || error?.tokendCode === 'io';

module.exports = { ClerkAPIResponseError, isAway };
