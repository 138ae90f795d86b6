'use strict';

/*
 * What the tests share: the sandbox and the daemon as children, a daemon that does what a test
 * says, and waiting for conditions.
 */

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const PACKAGE = path.resolve(__dirname, '..');
const ROOT = path.resolve(PACKAGE, '../..');
const BUILD = path.resolve(ROOT, process.env.BUILD ?? 'build');
const SECRET_KEY = 'sk_test_sandbox';
const DEADLINE_MS = 10000;
const SUN_PATH_MAX = 107;

const JWT = 'eyJh.eyJz.c2ln';
const ID = '9f86d081884c7d65';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function waitFor(condition, what = 'the condition') {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `${what}: not within ${DEADLINE_MS} ms`);
    await pause(5);
  }
}

function makeDirectory(t) {
  const long = os.tmpdir().length > SUN_PATH_MAX - 40;
  const directory = fs.mkdtempSync(path.join(long ? '/tmp' : os.tmpdir(), 'ctd-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/* The environment, without what would change how a child behaves. */
function cleanEnvironment(extra = {}) {
  const foreign = /^(CLERK_|NODE_|NOTIFY_SOCKET|LISTEN_|XDG_RUNTIME_DIR|npm_)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), ...extra };
}

const whyNotBuilt = () =>
  ['clerk-tokend', 'clerk-bapi-sandbox'].every((name) => fs.existsSync(path.join(BUILD, name)))
    ? false
    : `${BUILD} holds no daemon and no sandbox`;

/* Why packages of npm can't be used; false: they can. */
const whyNotInstalled = (...names) =>
  names.every((name) => fs.existsSync(path.join(PACKAGE, 'node_modules', name)))
    ? false
    : 'npm has not installed what package-lock.json names';

function start(t, program, args, env) {
  const child = spawn(path.join(BUILD, program), args, {
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => (child.said += data));
  child.ended = new Promise((resolve) => child.on('exit', resolve));
  t.after(() => stop(child, 'SIGKILL'));
  return child;
}

async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  await child.ended;
}

/* Clerk's stand-in: { url, call(method, path, body), calls(session, template) }. */
async function startSandbox(t, ...args) {
  const directory = makeDirectory(t);
  const all = ['--http', '127.0.0.1:0', '--dir', directory, '--die-with-parent', ...args];
  const child = start(t, 'clerk-bapi-sandbox', all);
  await waitFor(() => /^ready$/m.test(child.said), 'the sandbox');
  const said = /^http=(.*)$/m.exec(child.said)[1];
  const url = said.includes('://') ? said : `http://${said}`;
  const call = async (method, name, body) => {
    const headers = { 'content-type': 'application/json' };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await fetch(`${url}/sandbox/${name}`, { method, headers, body: text });
    assert.equal(response.status, 200);
    return response.json();
  };
  const calls = async (session, template = '-') =>
    (await call('GET', 'stats')).by_key[`${session} ${template}`] ?? 0;
  return { url, call, calls };
}

/* The daemon: { socket, stop(), start() }. */
async function startDaemon(t, sandbox, config = '') {
  const directory = makeDirectory(t);
  const socket = path.join(directory, 's');
  const file = path.join(directory, 'conf');
  fs.writeFileSync(file, `[clerk]\napi_url = ${sandbox.url}\n${config}`);
  const daemon = { socket, child: null };
  daemon.start = async () => {
    daemon.child = start(t, 'clerk-tokend', ['--config', file, '--socket', socket], {
      CLERK_SECRET_KEY: SECRET_KEY,
    });
    await waitFor(() => canConnect(socket), 'the daemon');
  };
  daemon.stop = (signal) => stop(daemon.child, signal);
  await daemon.start();
  return daemon;
}

const canConnect = (socket) =>
  new Promise((resolve) => {
    const connection = net.connect(socket, () => {
      connection.destroy();
      resolve(true);
    });
    connection.on('error', () => resolve(false));
  });

const tokenFields = ({ jwt = JWT, id = ID, ttl = 55000, reuse = 50000 } = {}) =>
  `${jwt} id=${id} exp=2000000000 ttl=${ttl} reuse=${reuse} state=fresh`;

/* A daemon that answers as `answer(words, connection)` says: a line without its tag, undefined for
 * none. `words` are the request's, without the tag. { socket, requests, connections, close() } */
async function fakeDaemon(t, answer) {
  const directory = makeDirectory(t);
  const fake = { socket: path.join(directory, 's'), requests: [], connections: new Set() };
  const serve = (connection) => {
    let rest = '';
    fake.connections.add(connection);
    connection.on('error', () => {});
    connection.on('close', () => fake.connections.delete(connection));
    connection.on('data', (data) => {
      const lines = (rest + data.toString('latin1')).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const [tag, ...words] = line.split(' ');
        fake.requests.push(words.join(' '));
        connection.tag = tag;
        const said = words[0] === 'TRACK' ? 'OK' : answer(words, connection);
        if (said !== undefined && !connection.destroyed) connection.write(`${tag} ${said}\n`);
      }
    });
  };
  fake.push = (line) => fake.connections.forEach((connection) => connection.write(`${line}\n`));
  fake.hangUp = () => fake.connections.forEach((connection) => connection.destroy());
  fake.listen = () =>
    new Promise((resolve) => {
      fake.server = net.createServer(serve).listen(fake.socket, resolve);
    });
  fake.close = () => {
    fake.hangUp();
    return new Promise((resolve) => fake.server.close(resolve));
  };
  t.after(fake.close);
  await fake.listen();
  return fake;
}

/* Runs node on a file: { status, stdout, stderr }. */
function runNode(args, { env, cwd } = {}) {
  return spawnSync(process.execPath, args, {
    cwd,
    env: cleanEnvironment(env),
    encoding: 'utf8',
    timeout: 2 * DEADLINE_MS,
  });
}

/* The same, while this process goes on. */
function runNodeBeside(args, { env, cwd } = {}) {
  const child = spawn(process.execPath, args, { cwd, env: cleanEnvironment(env) });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  return new Promise((resolve) =>
    child.on('close', (status) => resolve({ status, stdout, stderr })),
  );
}

module.exports = {
  ID,
  JWT,
  PACKAGE,
  ROOT,
  SECRET_KEY,
  cleanEnvironment,
  fakeDaemon,
  makeDirectory,
  pause,
  runNode,
  runNodeBeside,
  startDaemon,
  startSandbox,
  tokenFields,
  waitFor,
  whyNotBuilt,
  whyNotInstalled,
};
