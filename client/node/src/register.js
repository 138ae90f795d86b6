'use strict';

/*
 * node --import clerktoken/register app.js
 *
 * From here on, a token that a Clerk SDK asks Clerk for, by the global fetch(), comes from the
 * daemon. All other calls of fetch() go on as they are. The SDKs take fetch() when they are
 * imported, so this must run first.
 */

const { createClient } = require('./client.js');
const { isAway } = require('./errors.js');
const { normalize, tokenRequest } = require('./token-request.js');

const CLERK = 'https://api.clerk.com';
const INSTALLED = Symbol.for('clerktoken.register');
const IS_ON = /^(1|on|true|yes)$/;
const IS_OFF = /^(0|off|false|no)$/;

function respond(body, href, init) {
  const response = new Response(JSON.stringify(body), init);
  Object.defineProperty(response, 'url', { value: href });
  return response;
}

function answer(token, href) {
  return respond({ object: 'token', jwt: token.jwt }, href, {
    status: 200,
    statusText: 'OK',
    headers: { 'content-type': 'application/json' },
  });
}

const REASONS = require('node:http').STATUS_CODES;

/* An error as Clerk's API sends it. */
function refuse(error, href) {
  const headers = { 'content-type': 'application/json' };
  if (error.retryAfter !== undefined) headers['retry-after'] = String(error.retryAfter);
  const errors = error.errors.map(({ code, message, longMessage }) => ({
    message,
    long_message: longMessage,
    code,
  }));
  const { status } = error;
  return respond({ errors }, href, { status, statusText: REASONS[status], headers });
}

/* A fetch() that asks `client` for tokens, and `original` for all else. */
function tokenFetch(original, client, settings) {
  const ask = async (self, args, request) => {
    const [input, init] = args;
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    signal?.throwIfAborted();
    const body = await request.read();
    if (body === null) return Reflect.apply(original, self, args);
    try {
      const { session, template, href } = request;
      const options = signal ? { signal } : undefined;
      return answer(
        await client.sessions.getToken(session, template, body.expiresIn, options),
        href,
      );
    } catch (error) {
      if (error.tokendCode === undefined) throw error; // aborted
      if (settings.fallback && isAway(error)) return Reflect.apply(original, self, args);
      return refuse(error, request.href);
    }
  };
  const fetch = function (...args) {
    const request = tokenRequest(args[0], args[1], settings);
    return request === null ? Reflect.apply(original, this, args) : ask(this, args, request);
  };
  for (const name of ['name', 'length'])
    Object.defineProperty(fetch, name, Object.getOwnPropertyDescriptor(original, name));
  return fetch;
}

function register(env = process.env) {
  if (globalThis[INSTALLED]) return;
  const addresses = [CLERK, env.CLERK_API_URL].filter(Boolean).map(normalize);
  const settings = {
    bases: [...new Set(addresses)].filter((base) => base !== null),
    secretKey: env.CLERK_SECRET_KEY,
    fallback: IS_ON.test(env.CLERK_TOKEND_FALLBACK),
  };
  const client = createClient({ copies: !IS_OFF.test(env.CLERK_TOKEND_COPIES) });
  const { enumerable = true } = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
  Object.defineProperty(globalThis, 'fetch', {
    value: tokenFetch(globalThis.fetch, client, settings),
    writable: true,
    configurable: true,
    enumerable,
  });
  Object.defineProperty(globalThis, INSTALLED, { value: true });
}

register();
