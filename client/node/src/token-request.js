'use strict';

/*
 * Which calls of fetch() are a Clerk SDK's request for a token: a POST to
 * CLERK/v1/sessions/ID/tokens[/TEMPLATE], without a body or with the lifetime in it. What is
 * understood only in part isn't one.
 */

const wire = require('./wire.js');

const CLERK = 'https://api.clerk.com';
const ADDRESS = /^(.*)\/v1\/sessions\/([\w-]+)\/tokens(?:\/([\w.~-]+))?$/;
const BODY_MAX = 1024; // characters
const EXPIRES_IN_MIN_S = 30;
const EXPIRES_IN_MAX_S = 315360000;

const isRequest = (input) => input instanceof Request;

function methodOf(input, init) {
  const method = init?.method ?? (isRequest(input) ? input.method : 'GET');
  return typeof method === 'string' ? method.toUpperCase() : '';
}

/* As fetch() itself would write it; '': it will say what is wrong with it. */
function hrefOf(address) {
  try {
    return new URL(isRequest(address) ? address.url : address).href;
  } catch {
    return '';
  }
}

/* undefined: there is none, or it can't be known without taking the headers away from fetch(). */
function bearerOf(input, init) {
  try {
    const given = init?.headers ?? (isRequest(input) ? input.headers : undefined);
    if (typeof given?.next === 'function') return undefined; // an iterator
    return /^Bearer (.*)$/.exec(new Headers(given).get('authorization') ?? '')?.[1];
  } catch {
    return undefined;
  }
}

/* Whether it goes to Clerk, with the key of the daemon's instance as far as the environment tells:
 * who uses another key means another instance, whose sessions this daemon doesn't know. */
function isForClerk(base, bearer, env) {
  const addresses = [CLERK, env.CLERK_API_URL ?? CLERK].map((a) => hrefOf(a).replace(/\/+$/, ''));
  return addresses.includes(base) && (!env.CLERK_SECRET_KEY || bearer === env.CLERK_SECRET_KEY);
}

/* { session, template, href } of a call of fetch(), '' being no template; null: it is another. The
 * environment is read with each call, since applications fill it after their start. */
function tokenRequest(input, init, env) {
  if (methodOf(input, init) !== 'POST') return null;
  const href = hrefOf(input);
  const match = ADDRESS.exec(href);
  if (match === null) return null;
  const [, base, session, template = ''] = match;
  if (!wire.isSession(session) || (template !== '' && !wire.isTemplate(template))) return null;
  return isForClerk(base, bearerOf(input, init), env) ? { session, template, href } : null;
}

/* The body of a Request, which remains as it is; null: it is long, or can't be read. */
async function textOfRequest(request) {
  const decoder = new TextDecoder();
  let text = '';
  try {
    const reader = request.clone().body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
      if (text.length <= BODY_MAX) continue;
      reader.cancel().catch(() => {}); // done when the other half of it is: not waited for
      return null;
    }
  } catch {
    return null;
  }
}

/* The body as text; null: it can't be known without taking it away from fetch(). */
async function textOf(input, init) {
  const body = init?.body;
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString();
  if (body !== undefined && body !== null) return null;
  return isRequest(input) && input.body !== null ? textOfRequest(input) : '';
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/* { expiresIn } of the body of such a call; null: there is more to it. */
async function readBody(input, init) {
  const text = await textOf(input, init);
  if (text === '') return { expiresIn: undefined };
  const body = text === null || text.length > BODY_MAX ? null : parse(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null;
  const { expires_in_seconds: expiresIn, ...others } = body;
  if (Object.keys(others).length > 0) return null;
  if (expiresIn === undefined) return { expiresIn };
  const isInRange = expiresIn >= EXPIRES_IN_MIN_S && expiresIn <= EXPIRES_IN_MAX_S;
  return Number.isInteger(expiresIn) && isInRange ? { expiresIn } : null;
}

module.exports = { readBody, tokenRequest };
