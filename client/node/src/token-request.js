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

const methodOf = (input, init) =>
  String(init?.method ?? (isRequest(input) ? input.method : 'GET')).toUpperCase();

/* As fetch() itself would write it; '': it will say what is wrong with it. */
function hrefOf(address) {
  try {
    return new URL(isRequest(address) ? address.url : address).href;
  } catch {
    return '';
  }
}

function bearerOf(input, init) {
  try {
    const headers = new Headers(init?.headers ?? (isRequest(input) ? input.headers : undefined));
    return /^Bearer (.*)$/.exec(headers.get('authorization') ?? '')?.[1];
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

/* The body as text; null: it can't be known without taking it away from fetch(). */
async function textOf(input, init) {
  const body = init?.body;
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString();
  if (body !== undefined && body !== null) return null;
  if (!isRequest(input) || input.body === null) return '';
  return input.bodyUsed ? null : input.clone().text();
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
