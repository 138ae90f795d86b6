'use strict';

/*
 * Own copies of tokens, by session, template and asked lifetime. A copy is handed out for as long
 * as the daemon said (`reuse`), counted from before the request was sent.
 *
 * Node offers no clock that goes on while the host is suspended, so a copy ends by two: the
 * monotonic one, which stands still in suspend, and the wall clock, which goes on but may be set.
 * Whichever comes first ends it. A clock that is set forward costs a question; a suspend makes no
 * copy older than it looks, unless the wall clock was set back by as much meanwhile.
 *
 * An answer to what was asked before a drop is no copy: it may be older than the drop.
 *
 * A session's copies stand together, since drops come by session. Sessions stand in the order in
 * which they were renewed last; the first goes when there is no room.
 */

const COPIES_MAX = 10000;
const CHARS_MAX = 32 * 1024 * 1024;
const SWEEP_MS = 30000;

const keyOf = (template, expiresIn) =>
  expiresIn === undefined ? template : `${template} ${expiresIn}`;

class Copies {
  constructor(max = COPIES_MAX) {
    this.max = max;
    this.sessions = new Map(); // session -> Map of key -> copy
    this.size = 0;
    this.chars = 0;
    this.drops = 0; // how many there were
    this.timer = null;
  }

  /* When something is asked, for keep(). */
  moment() {
    return { mono: performance.now(), wall: Date.now(), drops: this.drops };
  }

  /* The copy that may be handed out now, or undefined. */
  find(session, template, expiresIn) {
    const copies = this.sessions.get(session);
    if (copies === undefined) return undefined;
    const copy = copies.get(expiresIn === undefined ? template : keyOf(template, expiresIn));
    if (copy === undefined || copy.template !== template) return undefined;
    return performance.now() < copy.endMono && Date.now() < copy.endWall ? copy : undefined;
  }

  /* `asked` is the moment() before the request was sent; `token` what readToken() returned. */
  keep(session, template, expiresIn, token, promise, asked) {
    if (asked.drops !== this.drops || this.max === 0) return;
    this.forget(session, keyOf(template, expiresIn));
    if (token.reuse === 0) return;
    const copies = this.sessions.get(session) ?? new Map();
    this.sessions.delete(session);
    this.sessions.set(session, copies);
    copies.set(keyOf(template, expiresIn), {
      template,
      promise,
      id: token.id,
      chars: token.jwt.length,
      endMono: asked.mono + token.reuse,
      endWall: asked.wall + token.reuse,
      lifeMono: asked.mono + token.ttl,
      lifeWall: asked.wall + token.ttl,
    });
    this.size++;
    this.chars += token.jwt.length;
    this.makeRoom();
    this.sweepLater();
  }

  /* The life that a copy has left at least, in ms. */
  static lifeLeft(copy) {
    return Math.min(copy.lifeMono - performance.now(), copy.lifeWall - Date.now());
  }

  /* One template of a session with all its lifetimes; undefined: all of the session. */
  drop(session, template) {
    this.drops++;
    this.remove(session, template);
  }

  clear() {
    this.drops++;
    this.sessions.clear();
    this.size = 0;
    this.chars = 0;
    clearTimeout(this.timer);
    this.timer = null;
  }

  remove(session, template) {
    for (const [key, copy] of this.sessions.get(session) ?? [])
      if (template === undefined || copy.template === template) this.forget(session, key);
  }

  forget(session, key) {
    const copies = this.sessions.get(session);
    const copy = copies?.get(key);
    if (copy === undefined) return;
    copies.delete(key);
    if (copies.size === 0) this.sessions.delete(session);
    this.size--;
    this.chars -= copy.chars;
  }

  makeRoom() {
    while (this.size > this.max || this.chars > CHARS_MAX)
      this.remove(this.sessions.keys().next().value);
  }

  /* Ended copies of sessions that nobody asks for any more go by and by. */
  sweepLater() {
    if (this.timer !== null) return;
    this.timer = setTimeout(() => this.sweep(), SWEEP_MS);
    this.timer.unref();
  }

  sweep() {
    const { mono, wall } = this.moment();
    this.timer = null;
    for (const [session, copies] of this.sessions)
      for (const [key, copy] of copies)
        if (mono >= copy.endMono || wall >= copy.endWall) this.forget(session, key);
    if (this.size > 0) this.sweepLater();
  }
}

module.exports = { COPIES_MAX, Copies };
