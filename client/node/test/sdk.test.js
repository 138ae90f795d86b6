'use strict';

/* Clerk's own SDK, of each major version: with withTokend(), and in a process that was started with
 * clerktoken/register. */

const assert = require('node:assert/strict');
const { createRequire } = require('node:module');
const path = require('node:path');
const { test } = require('node:test');

const { createClient, withTokend } = require('../src/index.js');
const harness = require('./harness.js');
const { PACKAGE, SECRET_KEY, makeDirectory, runNodeBeside, startDaemon, startSandbox } = harness;

const NODE = process.versions.node.split('.').map(Number);
const REGISTER = path.join(PACKAGE, 'src/register.js');
const [IMPORT, REQUIRE] = ['--import', '--require'];
const hasImport = NODE[0] > 18 || (NODE[0] === 18 && NODE[1] >= 18);

const options = (major) => ({
  timeout: 60000,
  skip:
    harness.whyNotBuilt() ||
    harness.whyNotInstalled(`clerk-backend-${major}`) ||
    (major === 3 && NODE[0] < 20 && 'this major needs a later Node.js'),
});

async function world(t) {
  const sandbox = await startSandbox(t);
  return { sandbox, daemon: await startDaemon(t, sandbox) };
}

function clerkOf(major, sandbox) {
  const { createClerkClient } = require(`clerk-backend-${major}`);
  const telemetry = { disabled: true };
  return createClerkClient({ secretKey: SECRET_KEY, apiUrl: sandbox.url, telemetry });
}

/* The SDK's own guard, of the copy of @clerk/shared that it uses. */
const guardOf = (major) =>
  createRequire(require.resolve(`clerk-backend-${major}`))('@clerk/shared/error')
    .isClerkAPIResponseError;

const run = (sandbox, daemon, args, env) =>
  runNodeBeside(args, {
    cwd: PACKAGE,
    env: {
      CLERK_TOKEND_SOCKET: daemon.socket,
      CLERK_API_URL: sandbox.url,
      CLERK_SECRET_KEY: SECRET_KEY,
      ...env,
    },
  });

for (const major of [1, 2, 3]) {
  const sdk = `clerk-backend-${major}`;
  const OPTIONS = options(major);

  test(`${sdk}: only sessions.getToken is the daemon's`, OPTIONS, async (t) => {
    const { sandbox, daemon } = await world(t);
    const clerk = clerkOf(major, sandbox);
    const client = createClient({ socket: daemon.socket });
    t.after(client.close);
    const both = withTokend(clerk, { client });
    const calls = Array.from({ length: 50 }, () => both.sessions.getToken('sess_1', 'hasura'));
    const tokens = await Promise.all(calls);
    assert.equal(new Set(tokens.map((token) => token.jwt)).size, 1);
    assert.equal(await sandbox.calls('sess_1', 'hasura'), 1);
    assert.equal((await both.sessions.getSession('sess_2')).id, 'sess_2');

    assert.deepEqual(Object.keys(both), Object.keys(clerk));
    for (const name of Object.keys(clerk))
      if (typeof clerk[name] === 'object' && name !== 'sessions')
        assert.equal(both[name], clerk[name], name);
    assert.ok(both.sessions instanceof clerk.sessions.constructor);
    assert.equal(both.sessions, both.sessions);
    assert.equal(both.sessions.getSession.name, clerk.sessions.getSession.name);
    await clerk.sessions.getToken('sess_1', 'hasura');
    assert.equal(await sandbox.calls('sess_1', 'hasura'), 2, 'the original is as it was');
  });

  test(`${sdk}: an error is what the SDK's would be`, OPTIONS, async (t) => {
    const { sandbox, daemon } = await world(t);
    const clerk = clerkOf(major, sandbox);
    const client = createClient({ socket: daemon.socket });
    t.after(client.close);
    const isClerks = guardOf(major);
    const theirs = await clerk.sessions.getToken('sess_missing', 't').catch((e) => e);
    const ours = await withTokend(clerk, { client })
      .sessions.getToken('sess_missing', 't')
      .catch((e) => e);
    assert.ok(isClerks(theirs) && isClerks(ours));
    assert.equal(ours.status, theirs.status);
    assert.equal(ours.name, 'ClerkAPIResponseError');
    assert.equal(ours.clerkError, theirs.clerkError);
    assert.equal(ours.errors[0].code, theirs.errors[0].code);
    for (const name of ['status', 'clerkTraceId', 'errors', 'retryAfter']) assert.ok(name in ours);
    assert.deepEqual(Object.keys(ours.errors[0]).sort(), Object.keys(theirs.errors[0]).sort());
  });

  test(`${sdk}: falls back to itself, if it may`, OPTIONS, async (t) => {
    const sandbox = await startSandbox(t);
    const clerk = clerkOf(major, sandbox);
    const socket = path.join(makeDirectory(t), 's');
    const away = { status: 503, tokendCode: 'no_daemon' };
    const strict = withTokend(clerk, { socket });
    await assert.rejects(strict.sessions.getToken('sess_1', 'hasura'), away);
    assert.equal(await sandbox.calls('sess_1', 'hasura'), 0);
    const lenient = withTokend(clerk, { socket, fallback: true });
    assert.match((await lenient.sessions.getToken('sess_1', 'hasura')).jwt, /\./);
    assert.equal(await sandbox.calls('sess_1', 'hasura'), 1);
  });

  const ways = [[REQUIRE, 'sdk.cjs'], [REQUIRE, 'sdk.mjs'], [IMPORT, 'sdk.cjs'], [IMPORT, 'sdk.mjs']];
  for (const [how, app] of ways.filter(([way]) => way === REQUIRE || hasImport))
    test(`${sdk}: ${how} clerktoken/register ${app}`, OPTIONS, async (t) => {
      const { sandbox, daemon } = await world(t);
      const args = [how, REGISTER, `test/apps/${app}`, sdk, '50', 'sess_1', 'hasura'];
      const done = await run(sandbox, daemon, args);
      assert.equal(done.status, 0, done.stderr);
      const { tokens, session } = JSON.parse(done.stdout);
      assert.equal(tokens.length, 50);
      assert.equal(new Set(tokens).size, 1);
      assert.equal(await sandbox.calls('sess_1', 'hasura'), 1);
      if (session) assert.deepEqual(session, { id: 'sess_other', status: 'active' });
    });

  test(`${sdk}: register, errors and lifetimes`, OPTIONS, async (t) => {
    const { sandbox, daemon } = await world(t);
    const app = (...args) =>
      run(sandbox, daemon, [REQUIRE, REGISTER, 'test/apps/sdk.mjs', sdk, '1', ...args]);
    const missing = await app('sess_missing', 'hasura');
    const [error] = JSON.parse(missing.stdout).errors;
    assert.equal(error.kind, 'ClerkAPIResponseError');
    assert.equal(error.status, 404);
    assert.equal(error.code, 'resource_not_found');
    assert.equal(error.retryAfter, undefined);

    const plain = await app('sess_1', '');
    assert.match(JSON.parse(plain.stdout).tokens[0], /^[\w-]+\.[\w-]+\.[\w-]+$/, plain.stderr);
    assert.equal((await createCaller(t, daemon).sessions.getToken('sess_1')).jwt,
      JSON.parse(plain.stdout).tokens[0]);
    if (major === 1) return; // whose getToken() has no lifetime
    const long = JSON.parse((await app('sess_1', 'hasura', '600')).stdout).tokens[0];
    const { exp, iat } = JSON.parse(Buffer.from(long.split('.')[1], 'base64url'));
    assert.equal(exp - iat, 600);
  });
}

function createCaller(t, daemon) {
  const client = createClient({ socket: daemon.socket });
  t.after(client.close);
  return client;
}
