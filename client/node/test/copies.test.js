'use strict';

/* Own copies, by two clocks that the tests set. */

const assert = require('node:assert/strict');
const { beforeEach, mock, test } = require('node:test');

const { Copies } = require('../src/copies.js');

const clock = { mono: 1000, wall: 1e12 };
mock.method(performance, 'now', () => clock.mono);
mock.method(Date, 'now', () => clock.wall);

let copies;
beforeEach(() => {
  clock.mono = 1000;
  clock.wall = 1e12;
  copies = new Copies();
});

const token = (id, { reuse = 50000, ttl = 55000, chars = 9 } = {}) => ({
  jwt: 'x'.repeat(chars),
  id,
  reuse,
  ttl,
});
const keep = (session, template, expiresIn, id = 'a', more = {}) =>
  copies.keep(session, template, expiresIn, token(id, more), id, copies.moment());
const find = (...key) => copies.find(...key)?.promise;

test('a copy is found by all of its key', () => {
  keep('s', 't', undefined, 'a');
  keep('s', 't', 60, 'b');
  keep('s', '', undefined, 'c');
  assert.equal(find('s', 't', undefined), 'a');
  assert.equal(find('s', 't', 60), 'b');
  assert.equal(find('s', '', undefined), 'c');
  assert.equal(find('s', 't', 61), undefined);
  assert.equal(find('s', 't 60', undefined), undefined);
  assert.equal(find('r', 't', undefined), undefined);
});

test('a later answer takes the place of an earlier one', () => {
  keep('s', 't', undefined, 'a');
  keep('s', 't', undefined, 'b');
  assert.equal(find('s', 't', undefined), 'b');
  assert.equal(copies.size, 1);
  keep('s', 't', undefined, 'c', { reuse: 0 });
  assert.equal(find('s', 't', undefined), undefined);
  assert.equal(copies.size, 0);
});

test('a copy lives from the question on, not from the answer', () => {
  const asked = copies.moment();
  clock.mono += 3000;
  clock.wall += 3000;
  copies.keep('s', 't', undefined, token('a'), 'a', asked);
  clock.mono += 46999;
  clock.wall += 46999;
  assert.equal(find('s', 't', undefined), 'a');
  clock.mono += 1;
  assert.equal(find('s', 't', undefined), undefined);
});

test('a suspend, which only the wall clock counts, ends a copy', () => {
  keep('s', 't', undefined);
  clock.wall += 50000;
  assert.equal(find('s', 't', undefined), undefined);
});

test('a wall clock that is set back makes no copy live longer', () => {
  keep('s', 't', undefined);
  clock.wall -= 3600000;
  clock.mono += 50000;
  assert.equal(find('s', 't', undefined), undefined);
});

test('the life that is left is by the clock that is ahead', () => {
  keep('s', 't', undefined);
  clock.mono += 1000;
  clock.wall += 9000;
  assert.equal(Copies.lifeLeft(copies.find('s', 't', undefined)), 46000);
});

test('drops name a template with all its lifetimes, a session, or all', () => {
  const fill = () => {
    for (const session of ['s', 'r'])
      for (const template of ['', 't', 'u'])
        for (const expiresIn of [undefined, 60]) keep(session, template, expiresIn, template);
  };
  fill();
  copies.drop('s', 't');
  assert.equal(copies.size, 10);
  assert.equal(find('s', 't', 60), undefined);
  assert.equal(find('s', 'u', 60), 'u');
  copies.drop('s', '');
  assert.equal(copies.size, 8);
  copies.drop('s');
  assert.equal(copies.size, 6);
  assert.equal(find('r', 't', undefined), 't');
  copies.drop('nobody');
  copies.clear();
  assert.equal(copies.size, 0);
  assert.equal(copies.chars, 0);
});

test('an answer to what was asked before a drop is no copy', () => {
  for (const drop of [() => copies.drop('s'), () => copies.drop('r', 't'), () => copies.clear()]) {
    const asked = copies.moment();
    drop();
    copies.keep('s', 't', undefined, token('a'), 'a', asked);
    assert.equal(copies.size, 0);
  }
  keep('s', 't', undefined);
  assert.equal(copies.size, 1);
});

test('what was renewed last stays when there is no room', () => {
  copies = new Copies(3);
  for (const session of ['a', 'b', 'c']) keep(session, 't', undefined);
  keep('a', 't', undefined);
  keep('d', 't', undefined);
  assert.equal(copies.size, 3);
  assert.equal(find('b', 't', undefined), undefined);
  for (const session of ['a', 'c', 'd']) assert.ok(find(session, 't', undefined));
});

test('many large tokens are fewer', () => {
  for (let i = 0; i < 100; i++) keep(`s${i}`, 't', undefined, 'a', { chars: 1024 * 1024 });
  assert.equal(copies.size, 32);
  assert.equal(copies.chars, 32 * 1024 * 1024);
});

test('a session that fills all the room leaves none too many', () => {
  copies = new Copies(2);
  for (const template of ['a', 'b', 'c']) keep('s', template, undefined);
  assert.ok(copies.size <= 2);
});

test('ended copies go by and by', () => {
  keep('s', 't', undefined, 'a', { reuse: 1000 });
  keep('r', 't', undefined, 'b');
  clock.mono += 2000;
  copies.sweep();
  assert.equal(copies.size, 1);
  assert.equal(find('r', 't', undefined), 'b');
});

test('no copies, if there may be none', () => {
  copies = new Copies(0);
  keep('s', 't', undefined);
  assert.equal(copies.size, 0);
});
