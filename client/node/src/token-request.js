'use strict';

/*
 * Which calls of fetch() are a Clerk SDK's request for a token: a POST to
 * CLERK/v1/sessions/ID/tokens[/TEMPLATE], without a body or with the lifetime in it. What is
 * understood only in part isn't one.
 */

const wire = require('./wire.js');

const PATH = /^\/v1\/sessions\/([\w-]+)\/tokens(?:\/([\w.~-]+))?$/;
const BODY_MAX = 1024; // bytes
const EXPIRES_IN_MIN_S = 30;
const EXPIRES_IN_MAX_S = 315360000;

/* An address in the form in which fetch()'s are compared with it; null: it is none. */
function normalize(address) {
  try {
    const url = new URL(address);
    return url.origin + url.pathname.replace(/\/+$/, '');
  } catch {
    return null;
  }
}

/* { session, template }, or null. */
function matchAddress(href, bases) {
  const base = bases.find((b) => href.startsWith(b) && href[b.length] === '/');
  const match = base === undefined ? null : PATH.exec(href.slice(base.length));
  if (match === null) return null;
  const [, session, template = ''] = match;
  const isNamed = template === '' || wire.isTemplate(template);
  return isNamed && wire.isSession(session) ? { session, template } : null;
}

const hrefOf = (input) => {
  try {
    return new URL(typeof input === 'string' || input instanceof URL ? input : input.url).href;
  } catch {
    return ''; // fetch() will say what is wrong with it
  }
};

/* The body as text; null: it can't be known without taking it away from fetch(). */
async function textOf(input, init) {
  const body = init?.body;
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString();
  if (body !== undefined && body !== null) return null;
  if (!(input instanceof Request) || input.body === null) return '';
  return input.bodyUsed ? null : input.clone().text();
}

/* { expiresIn } of a body; null: there is more to it. */
function readBody(text) {
  if (text === null || text.length > BODY_MAX) return null;
  if (text === '') return { expiresIn: undefined };
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null;
  const { expires_in_seconds: expiresIn, ...others } = body;
  const isInRange =
    Number.isInteger(expiresIn) && expiresIn >= EXPIRES_IN_MIN_S && expiresIn <= EXPIRES_IN_MAX_S;
  return Object.keys(others).length === 0 && (expiresIn === undefined || isInRange)
    ? { expiresIn }
    : null;
}

const bearerOf = (input, init) => {
  const headers = init?.headers ?? (input instanceof Request ? input.headers : undefined);
  return new Headers(headers).get('authorization');
};

const methodOf = (input, init) =>
  String(init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase();

/* What is asked for, { session, template, href, read() -> Promise<{ expiresIn }|null> }, or null.
 * With `secretKey`, what is asked with another one isn't the daemon's to answer. */
function tokenRequest(input, init, { bases, secretKey }) {
  if (methodOf(input, init) !== 'POST') return null;
  const href = hrefOf(input);
  const asked = matchAddress(href, bases);
  if (asked === null) return null;
  if (secretKey && bearerOf(input, init) !== `Bearer ${secretKey}`) return null;
  return { ...asked, href, read: async () => readBody(await textOf(input, init)) };
}

module.exports = { normalize, tokenRequest };
