'use strict';

/*
 * One connection to the daemon: opened with the first request, opened again when it was lost.
 *
 * A request is { line, deadline, take(line, at), fail(error) }: its line without tag and LF, when to
 * give up (ms of performance.now()), and two functions of which one is called, once. `sentAt` is the
 * moment at which it was last sent. All requests are tagged and pipelined; those of a tick leave
 * with one write.
 *
 * What is `pending` was sent, or will be once there is a connection. If the connection is lost, it
 * is sent again on the next one, SENDS_MAX times in all: no request changes anything but DROP,
 * which may be repeated. For RESTART_MS after a connection that worked was lost, the daemon is taken
 * to be restarting; else a connection that can't be had fails what is pending, at once.
 *
 * While something is pending the process stays alive; an idle connection doesn't keep it.
 *
 * With `track` the daemon is asked to tell of drops, before anything else. `isTracking` says that
 * it does: only what comes then may be kept as a copy.
 */

const net = require('node:net');

const { ClerkAPIResponseError } = require('./errors.js');
const { Pending } = require('./pending.js');
const wire = require('./wire.js');

const PENDING_MAX = 65536;
const READ_SIZE = 65536;
const RESTART_MS = 3000;
const SENDS_MAX = 3;
const PAUSE_MIN_MS = 20;
const PAUSE_MAX_MS = 500;
const TRACK_TAG = 'track';

const HANGUP = new Error('closed by the daemon');
const ABSENT = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENOTSOCK', 'EPROTOTYPE']);

function refusal(error, path) {
  const text = `${path}: ${error.message}`;
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new ClerkAPIResponseError('denied', text, undefined, error);
  const code = ABSENT.has(error.code) ? 'no_daemon' : 'io';
  return new ClerkAPIResponseError(code, text, 1000, error);
}

class Connection {
  /* moment() -> { mono, … }; onPush(event, fields); onLost(): all that was told by TRACK is void. */
  constructor({ path, track, moment, onPush, onLost }) {
    this.path = path;
    this.track = track;
    this.moment = moment;
    this.onPush = onPush;
    this.onLost = onLost;
    this.pending = new Pending();
    this.output = '';
    this.socket = null;
    this.isOpen = false;
    this.isTracking = false;
    this.trackAgainAt = Infinity;
    this.restartUntil = 0; // 0: not restarting
    this.pauses = 0;
    this.pause = null;
    this.timer = null;
    this.timerAt = Infinity;
    this.isClosed = false;
    this.flush = this.flush.bind(this);
    this.takeLine = this.takeLine.bind(this);
  }

  send(request) {
    if (this.isClosed) {
      request.fail(new ClerkAPIResponseError('closed', 'this client was closed'));
      return;
    }
    if (this.pending.taken >= PENDING_MAX) {
      request.fail(new ClerkAPIResponseError('overloaded', 'too many requests are pending', 1000));
      return;
    }
    if (this.pending.size === 0) this.socket?.ref();
    this.pending.add(request);
    if (request.deadline < this.timerAt) this.arm(request.deadline);
    if (this.isOpen) this.write(request);
    else if (this.socket === null && this.pause === null) this.connect();
  }

  /* Its answer, if there is one, will be ignored. */
  cancel(request) {
    this.pending.giveUp(request, this.isOpen);
    this.rest();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.pause);
    clearTimeout(this.timer);
    this.failAll(new ClerkAPIResponseError('closed', 'this client was closed'));
    this.abandon();
  }

  // Connecting

  connect() {
    const splitter = new wire.Splitter();
    const socket = net.connect({
      path: this.path,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_SIZE),
        callback: (length, buffer) => this.read(socket, splitter, buffer.subarray(0, length)),
      },
    });
    let error = null;
    socket.on('connect', () => this.opened());
    socket.on('error', (e) => (error = e));
    socket.on('close', () => this.socket === socket && this.lost(error));
    this.socket = socket;
  }

  opened() {
    this.isOpen = true;
    this.trackNow();
    for (const request of this.pending.all()) this.write(request);
  }

  trackNow() {
    this.trackAgainAt = Infinity;
    if (this.track) this.append(TRACK_TAG, 'TRACK on');
  }

  /* The socket has closed by itself. */
  lost(error) {
    const wasOpen = this.isOpen;
    this.reset();
    if (this.restartUntil === 0 && (wasOpen || error?.code === 'EAGAIN'))
      this.restartUntil = performance.now() + RESTART_MS;
    const isRestarting = performance.now() < this.restartUntil;
    const isOver = (request) => !isRestarting || request.sends === SENDS_MAX;
    this.fail(this.pending.all().filter(isOver), refusal(error ?? HANGUP, this.path));
    if (!isRestarting) this.restartUntil = 0;
    else if (this.pending.size > 0) this.connectLater();
  }

  connectLater() {
    const most = Math.min(PAUSE_MIN_MS * 2 ** this.pauses++, PAUSE_MAX_MS);
    this.pause = setTimeout(() => {
      this.pause = null;
      if (this.pending.size > 0) this.connect();
    }, Math.random() * most);
  }

  /* Gives up the socket; nothing of it is heard any more. */
  abandon() {
    const socket = this.socket;
    this.reset();
    socket?.destroy();
  }

  reset() {
    this.socket = null;
    this.isOpen = false;
    this.isTracking = false;
    this.output = '';
    this.pending.forgetGivenUp();
    this.onLost();
  }

  // Writing

  write(request) {
    request.sentAt = this.moment();
    request.sends++;
    if (request.sentAt.mono >= this.trackAgainAt) this.trackNow();
    this.append(request.tag, request.line);
  }

  append(tag, line) {
    if (this.output === '') process.nextTick(this.flush);
    this.output += `#${tag} ${line}\n`;
  }

  flush() {
    if (this.output === '') return;
    const output = this.output;
    this.output = '';
    this.socket.write(output, 'latin1');
  }

  // Reading

  read(socket, splitter, bytes) {
    if (this.socket !== socket) return true;
    try {
      splitter.push(bytes, this.takeLine);
    } catch (error) {
      if (!(error instanceof wire.Malformed)) throw error;
      this.malformed(error);
    }
    this.rest();
    return true;
  }

  malformed(error) {
    this.abandon();
    const text = `${this.path} answers with ${error.message}`;
    this.failAll(new ClerkAPIResponseError('protocol', text, 1000, error));
  }

  /* Answers false if no more lines are wanted. */
  takeLine(line) {
    const { tag, kind, at } = wire.readHead(line);
    this.restartUntil = 0;
    this.pauses = 0;
    if (kind === '*') this.takePush(wire.readPush(line));
    else if (tag === TRACK_TAG) this.takeTracking(kind, line, at);
    else if (tag === '') this.takeUntagged(kind, line, at);
    else this.takeReply(tag, kind, line, at);
    return this.socket !== null;
  }

  takePush({ event, fields }) {
    if (event === 'DROP' && fields.length < 2) throw new wire.Malformed('a drop of nothing');
    this.onPush(event, fields);
  }

  takeTracking(kind, line, at) {
    this.isTracking = kind === 'OK';
    if (this.isTracking) return;
    const { retryMs } = wire.readError(line, at);
    this.trackAgainAt = retryMs === undefined ? Infinity : performance.now() + retryMs;
  }

  /* Without a tag comes only what concerns the connection, which the daemon then closes. */
  takeUntagged(kind, line, at) {
    if (kind !== 'ERR') throw new wire.Malformed('a reply to no request');
    const { code, text, retryMs } = wire.readError(line, at);
    this.abandon();
    this.failAll(new ClerkAPIResponseError(code, text, retryMs));
  }

  takeReply(tag, kind, line, at) {
    const request = this.pending.get(tag);
    if (request === undefined) throw new wire.Malformed('a reply to no request');
    if (kind === 'OK') {
      request?.take(line, at);
      this.pending.remove(tag);
      return;
    }
    const { code, text, retryMs } = wire.readError(line, at);
    if (code === 'shutting_down') return; // stays pending, for the next daemon
    this.pending.remove(tag);
    request?.fail(new ClerkAPIResponseError(code, text, retryMs));
  }

  // Deadlines

  arm(deadline) {
    clearTimeout(this.timer);
    this.timerAt = deadline;
    this.timer = setTimeout(() => this.expire(), Math.max(1, deadline - performance.now()));
    this.timer.unref();
  }

  expire() {
    const at = performance.now();
    let next = Infinity;
    this.timerAt = Infinity;
    for (const request of this.pending.all()) {
      if (request.deadline > at) {
        next = Math.min(next, request.deadline);
        continue;
      }
      this.pending.giveUp(request, this.isOpen);
      request.fail(this.tooLate());
    }
    if (next !== Infinity) this.arm(next);
    this.rest();
  }

  tooLate() {
    return this.isOpen
      ? new ClerkAPIResponseError('deadline', 'no answer in time', 1000)
      : new ClerkAPIResponseError('no_daemon', `${this.path}: no connection in time`, 1000);
  }

  failAll(error) {
    this.fail(this.pending.all(), error);
  }

  fail(requests, error) {
    for (const request of requests) this.pending.remove(request.tag);
    this.rest();
    for (const request of requests) request.fail(error);
  }

  /* Lets the process end if nothing is pending. */
  rest() {
    if (this.pending.size > 0) return;
    this.socket?.unref();
    clearTimeout(this.pause);
    this.pause = null;
  }
}

module.exports = { Connection };
