'use strict';

/* Which answer is whose. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Pending } = require('../src/pending.js');

test('a tag finds its request, until it is answered', () => {
  const pending = new Pending();
  const requests = Array.from({ length: 100 }, () => ({}));
  for (const request of requests) pending.add(request);
  assert.equal(new Set(requests.map((request) => request.tag)).size, 100);
  for (const request of requests) assert.equal(pending.get(request.tag), request);
  pending.remove(requests[7].tag);
  assert.equal(pending.get(requests[7].tag), undefined);
  assert.equal(pending.size, 99);
});

test('only tags that were given out are any', () => {
  const pending = new Pending();
  for (let i = 0; i < 20; i++) pending.add({});
  for (const tag of ['20', '-1', '01', '1.0', '1e0', '0x1', 'x', '', 'constructor', 'length'])
    assert.equal(pending.get(tag), undefined, tag);
});

test('the tag of what was given up is not used again before its answer', () => {
  const pending = new Pending();
  const late = {};
  pending.add(late);
  pending.giveUp(late, true);
  pending.giveUp(late, true);
  assert.equal(pending.size, 0);
  assert.equal(pending.taken, 1);
  assert.equal(pending.get(late.tag), null);
  const next = {};
  pending.add(next);
  assert.notEqual(next.tag, late.tag);
  pending.giveUp(late, true);
  pending.remove(late.tag);
  assert.equal(pending.size, 1);
  const third = {};
  pending.add(third);
  assert.equal(third.tag, late.tag);
  pending.giveUp(late, true);
  assert.equal(pending.get(third.tag), third, 'which is not the one that was given up');
});

test('what was not sent has no late answer', () => {
  const pending = new Pending();
  const request = {};
  pending.add(request);
  pending.giveUp(request, false);
  assert.equal(pending.size, 0);
  assert.equal(pending.taken, 0);
});

test('with the connection late answers are lost', () => {
  const pending = new Pending();
  const requests = [{}, {}, {}];
  for (const request of requests) pending.add(request);
  pending.giveUp(requests[1], true);
  pending.forgetGivenUp();
  assert.equal(pending.taken, 2);
  assert.equal(pending.get(requests[1].tag), undefined);
});

test('all are told in the order in which they came', () => {
  const pending = new Pending();
  const [a, b, c, d] = [{}, {}, {}, {}];
  for (const request of [a, b, c]) pending.add(request);
  pending.remove(a.tag);
  pending.add(d);
  assert.deepEqual(pending.all(), [b, c, d]);
  assert.equal(d.tag, a.tag);
  for (const request of [b, c, d]) pending.remove(request.tag);
  assert.equal(pending.size, 0);
  assert.equal(pending.taken, 0);
});
