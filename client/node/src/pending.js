'use strict';

/*
 * The requests of a connection that have no answer yet, by tag. A tag is the number of a slot. One
 * that was given up leaves its slot taken until its answer comes or the connection is lost, so that
 * no late answer is taken for another's.
 *
 * (A Map would do, but for V8: a table that a Map has grown out of keeps its values alive through
 * all scavenges once it is old, and tables come and go with the requests. That cost half of the time.)
 */

const GIVEN_UP = Symbol('given up');

class Pending {
  constructor() {
    this.slots = []; // a request, GIVEN_UP, or null: free
    this.tags = []; // of each slot, as it is written
    this.free = [];
    this.size = 0; // requests
    this.serial = 0;
  }

  /* How many slots are taken. */
  get taken() {
    return this.slots.length - this.free.length;
  }

  /* Returns the request's tag, and notes it in the request. */
  add(request) {
    const slot = this.free.length > 0 ? this.free.pop() : this.grow();
    this.slots[slot] = request;
    this.size++;
    request.serial = this.serial++;
    request.tag = this.tags[slot];
    return request.tag;
  }

  grow() {
    this.tags.push(String(this.slots.length));
    return this.slots.push(null) - 1;
  }

  /* The request with that tag; null: it was given up; undefined: there is none. */
  get(tag) {
    const slot = Number(tag);
    if (this.tags[slot] !== tag || this.slots[slot] === null) return undefined;
    return this.slots[slot] === GIVEN_UP ? null : this.slots[slot];
  }

  /* Its answer has come. */
  remove(tag) {
    const slot = Number(tag);
    if (this.slots[slot] !== GIVEN_UP) this.size--;
    this.slots[slot] = null;
    this.free.push(slot);
  }

  /* Its answer, which may come if it `wasSent`, isn't waited for any more. It may not be pending. */
  giveUp(request, wasSent) {
    const slot = Number(request.tag);
    if (this.slots[slot] !== request) return;
    this.remove(request.tag);
    if (!wasSent) return;
    this.free.pop();
    this.slots[slot] = GIVEN_UP;
  }

  /* With the connection, answers to what was given up are lost. */
  forgetGivenUp() {
    this.slots.forEach((held, slot) => held === GIVEN_UP && this.remove(this.tags[slot]));
  }

  /* All requests, in the order in which they came. */
  all() {
    const isRequest = (held) => held !== null && held !== GIVEN_UP;
    return this.slots.filter(isRequest).sort((a, b) => a.serial - b.serial);
  }
}

module.exports = { Pending };
