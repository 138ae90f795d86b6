'use strict';

/* The client, against the real daemon with the sandbox behind it. */

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');

const { createClient } = require('../src/index.js');
const harness = require('./harness.js');
const { PACKAGE, runNode, runNodeBeside, startDaemon, startSandbox, waitFor } = harness;

const OPTIONS = { timeout: 60000, skip: harness.whyNotBuilt() };

async function world(t, config) {
  const sandbox = await startSandbox(t);
  const daemon = await startDaemon(t, sandbox, config);
  const client = (options) => {
    const made = createClient({ socket: daemon.socket, ...options });
    t.after(made.close);
    return made;
  };
  return { sandbox, daemon, client };
}

const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));

test('tokens of sessions, templates and lifetimes', OPTIONS, async (t) => {
  const { sandbox, client } = await world(t);
  const { sessions } = client();
  const plain = claims((await sessions.getToken('sess_1', '')).jwt);
  assert.equal(plain.sid, 'sess_1');
  const hasura = claims((await sessions.getToken('sess_1', 'hasura')).jwt);
  assert.equal(hasura.sid, undefined);
  const long = claims((await sessions.getToken('sess_1', 'hasura', 600)).jwt);
  assert.equal(long.exp - long.iat, 600);
  await Promise.all(Array.from({ length: 200 }, () => client().sessions.getToken('sess_1', 'hasura')));
  assert.equal(await sandbox.calls('sess_1', 'hasura'), 2);
});

test('a drop by one reaches the copies of another', OPTIONS, async (t) => {
  const { client } = await world(t);
  const [one, other] = [client(), client()];
  const get = () => one.sessions.getToken('sess_1', 'hasura');
  const first = await get();
  assert.equal(await get(), first);
  assert.deepEqual(await other.drop('sess_1'), { dropped: 1 });
  const second = await waitFor(async () => {
    const token = await get();
    return token !== first && token;
  });
  assert.notEqual(second.jwt, first.jwt);
});

test('a session that has ended has no token', OPTIONS, async (t) => {
  const { sandbox, client } = await world(t);
  const c = client();
  await c.sessions.getToken('sess_1', 'hasura');
  await sandbox.call('POST', 'sessions/sess_1/end');
  await c.drop('sess_1');
  await assert.rejects(c.sessions.getToken('sess_1', 'hasura'), {
    status: 404,
    tokendCode: 'not_found',
  });
});

test('a refused token is exchanged', OPTIONS, async (t) => {
  const { client } = await world(t);
  const { sessions } = client();
  const first = await sessions.getToken('sess_1', 'hasura');
  const second = await sessions.getToken('sess_1', 'hasura', undefined, { not: first.id });
  assert.notEqual(second.id, first.id);
  assert.equal(await sessions.getToken('sess_1', 'hasura'), second);
  const short = sessions.getToken('sess_1', 'hasura', undefined, { minTtl: 3600 });
  await assert.rejects(short, { status: 422, tokendCode: 'short_lived' });
});

test('Clerk down, limited, or slow', OPTIONS, async (t) => {
  const { sandbox, client } = await world(t);
  const { sessions } = client();
  await sandbox.call('POST', 'faults', { kind: 'hang', count: -1 });
  const slow = sessions.getToken('sess_1', 'hasura', undefined, { wait: 100 });
  await assert.rejects(slow, { status: 504, tokendCode: 'timeout' });
  await sandbox.call('DELETE', 'faults');
  const fault = { kind: 'status', status: 429, retry_after: '7', count: -1, session: 'sess_2' };
  await sandbox.call('POST', 'faults', fault);
  const limited = sessions.getToken('sess_2', 'hasura', undefined, { wait: 3000 });
  const error = await limited.catch((e) => e);
  assert.equal(error.status, 429);
  assert.ok(error.retryAfter >= 1 && error.retryAfter <= 8, String(error.retryAfter));
});

test('ping, stats', OPTIONS, async (t) => {
  const { client } = await world(t);
  assert.equal(await client().ping(), undefined);
  assert.equal((await client().stats()).clients, 2);
});

test('restarts under load', OPTIONS, async (t) => {
  const { daemon, client } = await world(t);
  const { sessions } = client({ copies: false, timeoutMs: 20000 });
  let isOver = false;
  let calls = 0;
  const caller = async (n) => {
    while (!isOver) {
      const { jwt } = await sessions.getToken(`sess_${n}`, 'hasura');
      assert.equal(claims(jwt).template, 'hasura');
      calls++;
    }
  };
  const callers = Promise.all(Array.from({ length: 50 }, (_, n) => caller(n)));
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM']) {
    const before = calls;
    await Promise.race([callers, waitFor(() => calls > before + 500)]);
    await daemon.stop(signal);
    await daemon.start();
  }
  isOver = true;
  await callers;
});

test('copies end with the daemon', OPTIONS, async (t) => {
  const { sandbox, daemon, client } = await world(t);
  const { sessions } = client();
  await sessions.getToken('sess_1', 'hasura');
  await daemon.stop();
  await waitFor(() => sessions.getToken('sess_1', 'hasura').then(() => false, () => true));
  await daemon.start();
  await sessions.getToken('sess_1', 'hasura');
  assert.equal(await sandbox.calls('sess_1', 'hasura'), 2);
});

const quoted = (name) => JSON.stringify(path.join(PACKAGE, name));

test('an idle connection does not keep a process', OPTIONS, async (t) => {
  const { daemon } = await world(t);
  const text = `
    const { createClient } = require(${quoted('src/index.js')});
    createClient().sessions.getToken('sess_1', 'hasura').then(({ jwt }) => console.log(jwt));`;
  const done = runNode(['-e', text], { env: { CLERK_TOKEND_SOCKET: daemon.socket } });
  assert.equal(done.status, 0, done.stderr);
  assert.equal(claims(done.stdout.trim()).template, 'hasura');
});

test('a pending call does', OPTIONS, async (t) => {
  const { sandbox, daemon } = await world(t);
  await sandbox.call('POST', 'config', { latency_ms: 700 });
  const text = `
    import { createClient } from ${quoted('src/index.mjs')};
    const client = createClient();
    await client.ping();
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.sessions.getToken('sess_1', 'hasura').then(({ jwt }) => console.log(jwt));`;
  const args = ['--input-type=module', '-e', text];
  const done = await runNodeBeside(args, { env: { CLERK_TOKEND_SOCKET: daemon.socket } });
  assert.equal(done.status, 0, done.stderr);
  assert.equal(claims(done.stdout.trim()).template, 'hasura');
});

test('a worker has a connection of its own', OPTIONS, async (t) => {
  const { daemon, client } = await world(t);
  const c = client();
  const { jwt } = await c.sessions.getToken('sess_1', 'hasura');
  const text = `
    const { createClient } = require(${quoted('src/index.js')});
    const { parentPort, workerData } = require('node:worker_threads');
    const client = createClient({ socket: workerData });
    client.sessions.getToken('sess_1', 'hasura').then((token) => parentPort.postMessage(token.jwt));`;
  const worker = new Worker(text, { eval: true, workerData: daemon.socket });
  const ended = new Promise((resolve) => worker.on('exit', resolve));
  const theirs = await new Promise((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  assert.equal(theirs, jwt);
  assert.equal(await ended, 0, 'and ends by itself');
});
