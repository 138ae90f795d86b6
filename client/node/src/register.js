'use strict';

/*
 * node --import clerktoken/register app.js
 *
 * From here on, a token that a Clerk SDK asks Clerk for, by the global fetch(), comes from the
 * daemon. The SDKs take fetch() when they are imported, so this must run first.
 */

const { createClient } = require('./client.js');
const { tokenFetch } = require('./token-fetch.js');

const INSTALLED = Symbol.for('clerktoken.register');

function register(env) {
  let client = null;
  const getClient = () => (client ??= createClient({ copies: env.CLERK_TOKEND_COPIES !== '0' }));
  const { enumerable } = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
  const value = tokenFetch(globalThis.fetch, getClient, env);
  Object.defineProperty(globalThis, 'fetch', {
    value,
    enumerable,
    writable: true,
    configurable: true,
  });
  Object.defineProperty(globalThis, INSTALLED, { value: true });
}

if (!globalThis[INSTALLED] && globalThis.fetch) register(process.env);
