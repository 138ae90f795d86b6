'use strict';

/*
 * The wire protocol, version 1 (proto/PROTOCOL.md): lines out of bytes, replies out of lines. Pure:
 * no I/O, no clock. Whatever the bytes are, the outcome is a value or a Malformed, the same for
 * every split of the same bytes.
 */

/* The longest reply that a daemon can be configured to send: max_token_size 1M, and 512. */
const LINE_MAX = 1024 * 1024 + 512;
const LF = 10;
const EMPTY = Buffer.alloc(0);

const SESSION = /^[\w-]{1,128}$/;
const TEMPLATE = /^[\w.~-]{1,128}$/;
const ID = /^[0-9a-f]{16}$/;
const NOT_TEMPLATES = new Set(['-', '.', '..']);

const TAG = /#([\w.:-]{1,32}) /y;
const TOKEN =
  /([\w-]+\.[\w-]+\.[\w-]+) id=([0-9a-f]{16}) exp=(\d{1,19}) ttl=(\d{1,19}) reuse=(\d{1,19}) state=([!-~]+)(?: [!-~]+)*$/y;
const ERROR = /ERR ([a-z_]{1,64}) retry=(\d{1,19}|never) ([ -~]+)$/y;
const PUSH = /\* ([A-Z]+)((?: [!-~]+)*)$/;
const DROPPED = /dropped=(\d{1,15})(?: [!-~]+)*$/y;
const PRINTABLE = /^[ -~]*$/;

class Malformed extends Error {}

const isSession = (name) => typeof name === 'string' && SESSION.test(name);

/* Of a template's name, not the "-" that stands for none. */
const isTemplate = (name) =>
  typeof name === 'string' && TEMPLATE.test(name) && !NOT_TEMPLATES.has(name);

const isTokenId = (id) => typeof id === 'string' && ID.test(id);

/* Cuts bytes into lines, and holds what is left of the last one: at most `max` bytes. */
class Splitter {
  constructor(max = LINE_MAX) {
    this.max = max;
    this.held = EMPTY; // its first `length` bytes are of a line whose LF hasn't come
    this.length = 0;
  }

  /* Calls take(line) for each line that ends in `chunk`, without its LF, until one answers false.
   * The chunk's memory may be used again afterwards. Throws Malformed where a line is too long. */
  push(chunk, take) {
    let start = 0;
    for (let end; (end = chunk.indexOf(LF, start)) >= 0; start = end + 1) {
      this.check(end - start + 1);
      const line = this.length === 0 ? chunk.latin1Slice(start, end) : this.finish(chunk, end);
      if (take(line) === false) return;
    }
    if (start < chunk.length) this.hold(chunk, start, chunk.length);
  }

  check(more) {
    if (this.length + more > this.max) throw new Malformed(`a line of more than ${this.max} bytes`);
  }

  hold(chunk, start, end) {
    const length = this.length + end - start;
    this.check(end - start + 1);
    if (length > this.held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.held.length));
      this.held.copy(larger, 0, 0, this.length);
      this.held = larger;
    }
    chunk.copy(this.held, this.length, start, end);
    this.length = length;
  }

  finish(chunk, end) {
    this.hold(chunk, 0, end);
    const line = this.held.latin1Slice(0, this.length);
    this.held = EMPTY;
    this.length = 0;
    return line;
  }
}

/* What a line is: { tag, kind, at }. `kind` is 'OK', 'ERR' or '*', and what follows begins at `at`
 * (for ERR and *, with the word itself). The tag is '' where there is none. */
function readHead(line) {
  let tag = '';
  let at = 0;
  if (line.charCodeAt(0) === 35 /* # */) {
    TAG.lastIndex = 0;
    const match = TAG.exec(line);
    if (match === null) throw new Malformed('a tag that is none');
    tag = match[1];
    at = match[0].length;
  }
  if (line.startsWith('OK', at) && (line.length === at + 2 || line[at + 2] === ' '))
    return { tag, kind: 'OK', at: Math.min(at + 3, line.length) };
  if (line.startsWith('ERR ', at)) return { tag, kind: 'ERR', at };
  if (tag === '' && line.startsWith('* ')) return { tag, kind: '*', at };
  throw new Malformed('a line that is no reply');
}

/* The fields of a token that begin at `at`: { jwt, id, exp, ttl, reuse, state }; times in ms, `exp`
 * in seconds since 1970. */
function readToken(line, at) {
  TOKEN.lastIndex = at;
  const match = TOKEN.exec(line);
  if (match === null) throw new Malformed('an answer that holds no token');
  return {
    jwt: match[1],
    id: match[2],
    exp: Number(match[3]),
    ttl: Number(match[4]),
    reuse: Number(match[5]),
    state: match[6],
  };
}

/* An ERR that begins at `at`: { code, retryMs, text }; retryMs is undefined for "never". */
function readError(line, at) {
  ERROR.lastIndex = at;
  const match = ERROR.exec(line);
  if (match === null) throw new Malformed('an ERR that is none');
  return {
    code: match[1],
    retryMs: match[2] === 'never' ? undefined : Number(match[2]),
    text: match[3],
  };
}

/* A push: { event, fields }. */
function readPush(line) {
  const match = PUSH.exec(line);
  if (match === null) throw new Malformed('a push that is none');
  return { event: match[1], fields: match[2].split(' ').slice(1) };
}

/* All that follows an OK. */
function readText(line, at) {
  const text = line.slice(at);
  if (!PRINTABLE.test(text)) throw new Malformed('a reply with control characters');
  return text;
}

/* The same, parsed. */
function readJson(line, at) {
  try {
    return JSON.parse(readText(line, at));
  } catch (error) {
    throw new Malformed('a reply that is no JSON', { cause: error });
  }
}

/* How many a DROP has dropped: { dropped }. */
function readDropped(line, at) {
  DROPPED.lastIndex = at;
  const match = DROPPED.exec(line);
  if (match === null) throw new Malformed('an answer to DROP that is none');
  return { dropped: Number(match[1]) };
}

/* A request for a token, without tag and LF. The names must have been checked, '' is no template;
 * of the options those that aren't undefined are sent. */
function formatGet(session, template, { expiresIn, minTtl, wait, not } = {}) {
  let line = `GET ${session} ${template === '' ? '-' : template}`;
  if (expiresIn !== undefined) line += ` expires_in=${expiresIn}`;
  if (minTtl !== undefined) line += ` min_ttl=${minTtl}`;
  if (wait !== undefined) line += ` wait=${wait}`;
  if (not !== undefined) line += ` not=${not}`;
  return line;
}

module.exports = {
  LINE_MAX,
  Malformed,
  Splitter,
  formatGet,
  isSession,
  isTemplate,
  isTokenId,
  readDropped,
  readError,
  readHead,
  readJson,
  readPush,
  readText,
  readToken,
};
