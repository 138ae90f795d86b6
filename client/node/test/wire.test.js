'use strict';

/* The protocol's lines: every split of the same bytes, any bytes. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const wire = require('../src/wire.js');
const { ID, JWT, tokenFields } = require('./harness.js');

/* A generator of numbers below 2^32, the same in every run. */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  };
}

/* All that a client makes of bytes in these pieces. */
function read(pieces, max) {
  const splitter = new wire.Splitter(max);
  const found = [];
  const take = (line) => {
    const { tag, kind, at } = wire.readHead(line);
    if (kind === '*') found.push(wire.readPush(line));
    else if (kind === 'ERR') found.push({ tag, ...wire.readError(line, at) });
    else if (/[.]/.test(line)) found.push({ tag, ...wire.readToken(line, at) });
    else found.push({ tag, text: wire.readText(line, at) });
  };
  try {
    for (const piece of pieces) splitter.push(piece, take);
  } catch (error) {
    if (!(error instanceof wire.Malformed)) throw error;
    found.push('malformed');
  }
  return found;
}

const CONVERSATION = [
  'OK clerk-tokend version=0 proto=1',
  `#1 OK ${tokenFields()} src=cache`,
  `#a.b:c-d_e OK ${tokenFields()} src=clerk more=fields of the future`,
  '#7 ERR not_found retry=10000 Clerk knows no such session or template',
  '#8 ERR denied retry=never rules',
  '* DROP sess_1 hasura',
  '* DROP * *',
  '* NEWS',
  '#9 OK',
  '',
].join('\n');

test('a reply is what it says', () => {
  const [hello, token, later, error, never, drop, all, news, empty] = read([
    Buffer.from(CONVERSATION),
  ]);
  assert.deepEqual(hello, { tag: '', text: 'clerk-tokend version=0 proto=1' });
  const fields = { jwt: JWT, id: ID, exp: 2e9, ttl: 55000, reuse: 50000, state: 'fresh' };
  assert.deepEqual(token, { tag: '1', ...fields });
  assert.deepEqual(later, { tag: 'a.b:c-d_e', ...fields });
  const text = 'Clerk knows no such session or template';
  assert.deepEqual(error, { tag: '7', code: 'not_found', retryMs: 10000, text });
  assert.equal(never.retryMs, undefined);
  assert.deepEqual(drop, { event: 'DROP', fields: ['sess_1', 'hasura'] });
  assert.deepEqual(all.fields, ['*', '*']);
  assert.deepEqual(news, { event: 'NEWS', fields: [] });
  assert.deepEqual(empty, { tag: '9', text: '' });
});

test('every split of the same bytes is the same', () => {
  const bytes = Buffer.from(CONVERSATION);
  const whole = read([bytes]);
  assert.deepEqual(read([...bytes].map((byte) => Buffer.from([byte]))), whole);
  for (let at = 0; at <= bytes.length; at++)
    assert.deepEqual(read([bytes.subarray(0, at), bytes.subarray(at)]), whole);
});

test('what is no reply is malformed', () => {
  const lines = [
    '',
    'PK',
    'OKAY',
    'HTTP/1.1 400 Bad Request',
    '#',
    '# OK',
    `#${'x'.repeat(33)} OK`,
    '#1  OK',
    '#1 * DROP a b',
    '* drop a b',
    '*',
    'ERR',
    'ERR x retry=1',
    'ERR X retry=1 t',
    'ERR x retry=-1 t',
    'ERR x retry=1e3 t',
    `ERR x retry=${'9'.repeat(20)} t`,
    'ERR x retry=1 t\r',
    'ERR x retry=1 caf\xe9',
    '#1 OK a\0b',
    `OK ${tokenFields()}\r`,
    `OK ${tokenFields()} src=\x1b`,
    `OK ${tokenFields({ jwt: 'a.b' })}`,
    `OK ${tokenFields({ jwt: 'a.b.c.d' })}`,
    `OK ${tokenFields({ jwt: 'a.b.c"' })}`,
    `OK ${tokenFields({ id: 'ABCDEF0123456789' })}`,
    `OK ${tokenFields({ ttl: -1 })}`,
    `OK ${tokenFields({ reuse: '1.5' })}`,
    `OK  ${tokenFields()}`,
  ];
  for (const line of lines)
    assert.deepEqual(read([Buffer.from(`${line}\n`, 'latin1')]), ['malformed'], line);
});

test('a line has an end', () => {
  const max = 64;
  const fits = Buffer.from(`OK ${'x'.repeat(max - 4)}\n`);
  assert.equal(fits.length, max);
  const long = Buffer.concat([Buffer.from('OK x'), fits.subarray(3)]);
  for (const step of [1, 7, 1000]) {
    const cut = (bytes) => {
      const pieces = [];
      for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
      return pieces;
    };
    assert.equal(read(cut(fits), max).length, 1);
    assert.notEqual(read(cut(fits), max)[0], 'malformed');
    assert.deepEqual(read(cut(long), max), ['malformed']);
    assert.deepEqual(read(cut(Buffer.alloc(10 * max, 'x')), max), ['malformed']);
  }
});

test('what is held of a line is no more than it may have', () => {
  const splitter = new wire.Splitter(1000);
  const one = Buffer.from('x');
  for (let i = 0; i < 999; i++) splitter.push(one, assert.fail);
  assert.ok(splitter.held.length <= 2000);
  assert.throws(() => splitter.push(one, assert.fail), wire.Malformed);
});

test('a splitter keeps none of the memory that it is given', () => {
  const splitter = new wire.Splitter();
  const chunk = Buffer.from('#1 OK po');
  splitter.push(chunk, assert.fail);
  chunk.fill('x');
  const lines = [];
  splitter.push(Buffer.from('ng\n'), (line) => lines.push(line));
  assert.deepEqual(lines, ['#1 OK pong']);
});

test('any bytes are read or malformed, whatever their split', () => {
  const random = randomNumbers(1);
  const below = (n) => random() % n;
  const seed = Buffer.from(CONVERSATION);
  for (let round = 0; round < 20000; round++) {
    const bytes =
      round % 4 === 0 ? Buffer.alloc(below(200)).map(() => random()) : mutate(seed, below);
    const whole = read([bytes], 600);
    const at = below(bytes.length + 1);
    assert.deepEqual(read([bytes.subarray(0, at), bytes.subarray(at)], 600), whole);
    for (const found of whole) check(found);
  }
});

function mutate(seed, below) {
  const bytes = Buffer.from(seed);
  for (let i = below(5); i >= 0; i--) {
    const at = below(bytes.length);
    const kind = below(4);
    if (kind === 0) bytes[at] = below(256);
    else if (kind === 1) bytes[at] ^= 1 << below(8);
    else if (kind === 2) bytes.copyWithin(at, below(bytes.length));
    else return bytes.subarray(at);
  }
  return bytes;
}

/* Nothing that is read holds what no reply may hold. */
function check(found) {
  for (const value of Object.values(found).flat()) {
    if (typeof value === 'string') assert.match(value, /^[ -~]*$/);
    else if (value !== undefined) assert.ok(value >= 0);
  }
  if (found.jwt !== undefined) assert.match(found.jwt, /^[\w-]+\.[\w-]+\.[\w-]+$/);
}

test('names that could be a second request are none', () => {
  for (const name of ['', 'a b', 'a\nDROP b', 'a\r', 'é', 'a/b', '#1', 'x'.repeat(129), 1, null])
    assert.ok(!wire.isSession(name) && !wire.isTemplate(name), String(name));
  for (const name of ['-', '.', '..']) assert.ok(!wire.isTemplate(name));
  assert.ok(wire.isSession('sess_2-x') && wire.isTemplate('a.b~c_d-e'));
  assert.ok(!wire.isSession('a.b') && wire.isTemplate('x'.repeat(128)));
});
