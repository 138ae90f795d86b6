'use strict';

/*
 * createClient(): what users call. A hit on an own copy returns the copy's own promise, so that it
 * costs two look-ups and allocates nothing.
 */

const { COPIES_MAX, Copies } = require('./copies.js');
const { Connection } = require('./connection.js');
const { ClerkAPIResponseError, isAway } = require('./errors.js');
const { defaultSocket } = require('./socket-path.js');
const wire = require('./wire.js');

const TIMEOUT_MS = 5000;
const WAIT_MAX_MS = 3600000;
const SECONDS_MAX = 315360000;
const EXPIRES_IN_MIN_S = 30;
/* How much sooner than the caller the daemon gives up, so that its answer still comes in time. */
const MARGIN_MAX_MS = 500;
/* ... and how much later the caller, who said only how long the daemon may wait. */
const PATIENCE_MS = 2000;

const NO_OPTIONS = Object.freeze({});

/* What getToken() resolves to: { jwt }, as Clerk's, with an id behind it that is safe to log. */
class Token {
  #id;

  constructor(jwt, id) {
    this.jwt = jwt;
    this.#id = id;
    Object.freeze(this);
  }

  get id() {
    return this.#id;
  }
}

const invalid = (text) => new ClerkAPIResponseError('invalid_argument', text);

function checkNumber(name, value, min, max) {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(`${name} must be an integer from ${min} to ${max}`);
}

function checkNames(session, template) {
  // As the SDK says it.
  if (!session) throw new Error('A valid resource ID is required.');
  if (!wire.isSession(session))
    throw new ClerkAPIResponseError('invalid_name', 'No such session: its id can be none');
  if (template !== '' && !wire.isTemplate(template))
    throw new ClerkAPIResponseError('invalid_name', 'No such JWT template: its name can be none');
}

function checkOptions(expiresIn, { minTtl, wait, not, timeoutMs }) {
  checkNumber('expiresInSeconds', expiresIn, EXPIRES_IN_MIN_S, SECONDS_MAX);
  checkNumber('minTtl', minTtl, 0, SECONDS_MAX);
  checkNumber('wait', wait, 0, WAIT_MAX_MS);
  checkNumber('timeoutMs', timeoutMs, 1, WAIT_MAX_MS);
  if (not !== undefined && !wire.isTokenId(not)) throw invalid('not must be the id of a token');
}

class Client {
  constructor({ socket, copies = true, timeoutMs, fallback } = NO_OPTIONS) {
    checkNumber('timeoutMs', timeoutMs, 1, WAIT_MAX_MS);
    const max = copies === true ? COPIES_MAX : copies === false ? 0 : copies.max;
    checkNumber('copies.max', max, 0, 2 ** 31);
    this.socket = socket ?? defaultSocket();
    this.timeoutMs = timeoutMs;
    this.fallback = fallback;
    this.copies = new Copies(max);
    this.connection = new Connection({
      path: this.socket,
      track: max > 0,
      moment: () => this.copies.moment(),
      onPush: (event, fields) => event === 'DROP' && this.forget(...fields),
      onLost: () => this.copies.clear(),
    });
    this.sessions = { getToken: this.getToken.bind(this) };
  }

  getToken(session, template = '', expiresIn = undefined, options = undefined) {
    if (options === undefined) {
      const copy = this.copies.find(session, template, expiresIn);
      if (copy !== undefined) return copy.promise;
    }
    const key = { session, template: template ?? '', expiresIn: expiresIn ?? undefined };
    const asked = this.copyOrAsk(key, options ?? NO_OPTIONS);
    return this.fallback === undefined ? asked : this.orFallBack(asked, key);
  }

  copyOrAsk(key, options) {
    try {
      checkNames(key.session, key.template);
      checkOptions(key.expiresIn, options);
      options.signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.suitableCopy(key, options)?.promise ?? this.askForToken(key, options);
  }

  async orFallBack(asked, { session, template, expiresIn }) {
    try {
      return await asked;
    } catch (error) {
      if (!isAway(error)) throw error;
      return this.fallback.sessions.getToken(session, template, expiresIn);
    }
  }

  /* The copy, if it is what the options ask for. */
  suitableCopy({ session, template, expiresIn }, { minTtl = 0, not }) {
    const copy = this.copies.find(session, template, expiresIn);
    if (copy === undefined || copy.id === not || Copies.lifeLeft(copy) < minTtl * 1000)
      return undefined;
    return copy;
  }

  askForToken(key, options) {
    const { session, template, expiresIn } = key;
    const { minTtl, wait = this.waitOf(options), not } = options;
    const line = wire.formatGet(session, template, { expiresIn, minTtl, wait, not });
    return this.ask(line, this.timeoutOf(options), options.signal, (text, at, request) => {
      const token = wire.readToken(text, at);
      if (this.connection.isTracking)
        this.copies.keep(session, template, expiresIn, token, request.promise, request.sentAt);
      return new Token(token.jwt, token.id);
    });
  }

  timeoutOf({ timeoutMs, wait }) {
    return timeoutMs ?? (wait === undefined ? (this.timeoutMs ?? TIMEOUT_MS) : wait + PATIENCE_MS);
  }

  /* Who says when to give up tells the daemon; else its own default holds. */
  waitOf(options) {
    const timeoutMs = options.timeoutMs ?? this.timeoutMs;
    if (timeoutMs === undefined) return undefined;
    return Math.floor(timeoutMs - Math.min(timeoutMs / 10, MARGIN_MAX_MS));
  }

  /* Resolves to what read(line, at, request) makes of the OK. */
  ask(line, timeoutMs, signal, read) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const deadline = performance.now() + timeoutMs;
    const request = { line, deadline, tag: '', serial: 0, sends: 0, sentAt: null };
    request.promise = new Promise((resolve, reject) => {
      request.take = (text, at) => resolve(read(text, at, request));
      request.fail = reject;
    });
    this.connection.send(request);
    return signal == null ? request.promise : this.untilAborted(request, signal);
  }

  async untilAborted(request, signal) {
    const abort = () => {
      this.connection.cancel(request);
      request.fail(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await request.promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /* As a push names what was dropped. */
  forget(session, template) {
    if (session === '*') this.copies.clear();
    else if (template === '*') this.copies.drop(session);
    else this.copies.drop(session, template === '-' ? '' : template);
  }

  async drop(session, template, { signal } = NO_OPTIONS) {
    checkNames(session, template ?? '');
    const name = template === '' ? '-' : template;
    this.forget(session, name ?? '*');
    const line = name == null ? `DROP ${session}` : `DROP ${session} ${name}`;
    return this.ask(line, this.timeoutOf(NO_OPTIONS), signal, wire.readDropped);
  }

  async ping({ signal } = NO_OPTIONS) {
    await this.ask('PING', this.timeoutOf(NO_OPTIONS), signal, wire.readText);
  }

  async stats({ signal } = NO_OPTIONS) {
    return this.ask('STATS', this.timeoutOf(NO_OPTIONS), signal, wire.readJson);
  }

  close() {
    this.connection.close();
  }
}

/* See index.d.ts. */
function createClient(options) {
  const client = new Client(options);
  return Object.freeze({
    sessions: Object.freeze(client.sessions),
    socket: client.socket,
    drop: client.drop.bind(client),
    ping: client.ping.bind(client),
    stats: client.stats.bind(client),
    close: client.close.bind(client),
  });
}

module.exports = { createClient };
