'use strict';

/*
 * A fetch() that asks the daemon for tokens, and another fetch() for all else. Its answers are what
 * Clerk's API would answer: the SDKs want a Content-Type of exactly application/json.
 */

const { STATUS_CODES } = require('node:http');

const { isAway } = require('./errors.js');
const { readBody, tokenRequest } = require('./token-request.js');

function respond(href, status, body, headers = {}) {
  const response = new Response(JSON.stringify(body), {
    status,
    statusText: STATUS_CODES[status],
    headers: { 'content-type': 'application/json', ...headers },
  });
  return Object.defineProperty(response, 'url', { value: href });
}

/* Those with which Clerk says when to come back. */
const MAY_COME_BACK = new Set([429, 503]);

/* An error as Clerk's API sends it. */
function refuse(href, { status, errors, retryAfter }) {
  const body = {
    errors: errors.map(({ code, message, longMessage, meta }) => ({
      message,
      long_message: longMessage,
      code,
      meta,
    })),
  };
  const tellsWhen = MAY_COME_BACK.has(status) && retryAfter !== undefined;
  const headers = tellsWhen ? { 'retry-after': String(retryAfter) } : {};
  return respond(href, status, body, headers);
}

function signalOf(input, init) {
  if (init?.signal !== undefined) return init.signal ?? undefined;
  return input instanceof Request ? input.signal : undefined;
}

/* `original` is asked with what the caller has passed, `getClient()` for the daemon's client when it
 * is needed first; `env` says which requests are meant, and whether to fall back. */
function tokenFetch(original, getClient, env) {
  async function ask(self, args, { session, template, href }) {
    const pass = () => Reflect.apply(original, self, args);
    const signal = signalOf(...args);
    const body = signal?.aborted ? null : await readBody(...args);
    if (body === null) return pass();
    try {
      const options = signal === undefined ? undefined : { signal };
      const { sessions } = getClient();
      const { jwt } = await sessions.getToken(session, template, body.expiresIn, options);
      return respond(href, 200, { object: 'token', jwt });
    } catch (error) {
      if (error?.tokendCode === undefined) throw error; // the signal's reason
      return env.CLERK_TOKEND_FALLBACK === '1' && isAway(error) ? pass() : refuse(href, error);
    }
  }

  function fetch(...args) {
    const request = tokenRequest(args[0], args[1], env);
    return request === null ? Reflect.apply(original, this, args) : ask(this, args, request);
  }
  for (const name of ['name', 'length'])
    Object.defineProperty(fetch, name, Object.getOwnPropertyDescriptor(original, name));
  return fetch;
}

module.exports = { tokenFetch };
