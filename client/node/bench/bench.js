'use strict';

/*
 * getToken() against HTTP clients on the same machine in the same run.
 *
 *     make bench-node [BENCH_ARGS="--quick --smallest"]
 *
 * --quick: for a look. --smallest: against the smallest HTTP server instead of Node's own.
 *
 * The daemon (with the sandbox behind it) and the HTTP server are processes of their own, and answer
 * the same token. All contestants have their turns in each round; a figure is the median of the
 * rounds, a ratio the median of the rounds' ratios. With 50 in flight client and server have a
 * processor each; one call after the other is measured on one processor, since else most of it is
 * the time in which the kernel wakes the other one.
 */

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const undici = require('undici');

const { createClient } = require('..');

const BUILD = path.resolve(__dirname, '../../..', process.env.BUILD ?? 'build');
const IS_QUICK = process.argv.includes('--quick');
const HTTP_SERVER = process.argv.includes('--smallest') ? 'smallest' : 'node';
const ROUNDS = IS_QUICK ? 3 : 9;
const ROUND_MS = IS_QUICK ? 200 : 1000;
const SERVER_CPU = 0;
const CLIENT_CPU = os.cpus().length > 1 ? 1 : 0;
const IN_FLIGHT = 50;
const COPY_CALLS = 2e6;
const KEY = ['sess_2abcdefghijklmnopqrstuvwxyz', 'hasura', 3600];
const TOKEN_BYTES = 900;
const READY_MS = 10000;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ctd-bench-'));
const children = [];

function start(program, args, env, stdio) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio });
  children.push(child);
  return child;
}

/* Where there is no taskset, the kernel decides; figures are then less steady. */
function pin(pid, cpu) {
  spawnSync('taskset', ['-cp', String(cpu), String(pid)]);
}

/* The first match of `pattern` in what a child prints. */
function hear(child, pattern) {
  return new Promise((resolve, reject) => {
    let said = '';
    setTimeout(() => reject(new Error(`${child.spawnfile}: ${said}`)), READY_MS).unref();
    child.stdout.on('data', (data) => {
      said += data;
      const match = pattern.exec(said);
      if (match !== null) resolve(match[1]);
    });
  });
}

async function startDaemon() {
  const program = (name) => path.join(BUILD, name);
  const args = ['--http', '127.0.0.1:0', '--dir', directory, '--die-with-parent'];
  const stdio = ['ignore', 'pipe', 'inherit'];
  const sandbox = start(program('clerk-bapi-sandbox'), args, {}, stdio);
  const said = await hear(sandbox, /^http=(.*)\n(?:.*\n)*ready/m);
  const socket = path.join(directory, 's');
  const url = said.includes('://') ? said : `http://${said}`;
  await fetch(`${url}/sandbox/config`, {
    method: 'POST',
    body: JSON.stringify({ token_size: TOKEN_BYTES }),
  });
  const env = {
    CLERK_API_URL: url,
    CLERK_SECRET_KEY: 'sk_test_sandbox',
  };
  const quiet = ['ignore', 'ignore', 'ignore'];
  pin(start(program('clerk-tokend'), ['--socket', socket], env, quiet).pid, SERVER_CPU);
  const client = createClient({ socket, copies: false });
  for (const end = Date.now() + READY_MS; Date.now() < end; )
    try {
      await client.ping();
      return { socket, client };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  throw new Error('the daemon does not start');
}

async function startHttp(jwt) {
  const body = JSON.stringify({ object: 'token', jwt });
  const stdio = ['ignore', 'pipe', 'inherit', 'ipc'];
  const args = [path.join(__dirname, 'http-server.js'), HTTP_SERVER, body];
  const server = start(process.execPath, args, {}, stdio);
  pin(server.pid, SERVER_CPU);
  return `http://127.0.0.1:${await hear(server, /^(\d+)\n/)}/v1/sessions/${KEY[0]}/tokens/${KEY[1]}`;
}

/* Each contestant is a function that resolves to the token. */
function contestants(client, url) {
  const agent = new http.Agent({ keepAlive: true });
  return {
    getToken: async () => (await client.sessions.getToken(...KEY)).jwt,
    'undici.request': async () => (await (await undici.request(url)).body.json()).jwt,
    fetch: async () => (await (await fetch(url)).json()).jwt,
    'http.get': () =>
      new Promise((resolve, reject) => {
        const request = http.get(url, { agent }, (response) => {
          let text = '';
          response.setEncoding('latin1');
          response.on('data', (data) => (text += data));
          response.on('end', () => resolve(JSON.parse(text).jwt));
        });
        request.on('error', reject);
      }),
  };
}

/* Calls a second with so many in flight. */
async function rate(call, jwt) {
  const began = performance.now();
  let calls = 0;
  const caller = async () => {
    while (performance.now() - began < ROUND_MS) {
      if ((await call()) !== jwt) throw new Error('a wrong token');
      calls++;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  return (calls / (performance.now() - began)) * 1000;
}

/* The median time of one call after the other, in us. */
async function alone(call) {
  const times = [];
  for (const began = performance.now(); performance.now() - began < ROUND_MS; ) {
    const before = performance.now();
    await call();
    times.push((performance.now() - before) * 1000);
  }
  return median(times);
}

/* ns a call of what an own copy answers: called, and awaited one after the other. */
async function copied(socket) {
  const client = createClient({ socket });
  const { sessions } = client;
  const [session, template, expiresIn] = KEY;
  await sessions.getToken(...KEY);
  const time = async (run) => {
    const before = performance.now();
    await run();
    return ((performance.now() - before) * 1e6) / COPY_CALLS;
  };
  const called = await time(() => {
    for (let i = 0; i < COPY_CALLS; i++) sessions.getToken(session, template, expiresIn);
  });
  const awaited = await time(async () => {
    for (let i = 0; i < COPY_CALLS; i++) await sessions.getToken(session, template, expiresIn);
  });
  client.close();
  return { called, awaited };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

const medianOf = (rounds, pick) => median(rounds.map(pick));

async function measure({ socket, client }, jwt) {
  const all = contestants(client, await startHttp(jwt));
  for (const call of Object.values(all)) await rate(call, jwt); // warm
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    const round = { rate: {}, alone: {}, copy: await copied(socket) };
    pin(process.pid, CLIENT_CPU);
    for (const [name, call] of Object.entries(all)) round.rate[name] = await rate(call, jwt);
    pin(process.pid, SERVER_CPU);
    for (const [name, call] of Object.entries(all)) round.alone[name] = await alone(call);
    rounds.push(round);
  }
  return rounds;
}

const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
const grouped = (value) => Math.round(value).toLocaleString('en');

function reportFigures(rounds) {
  row('', `calls a second, ${IN_FLIGHT} in flight`, 'one after the other, p50');
  row('---', '---:', '---:');
  const copy = medianOf(rounds, (r) => r.copy.awaited);
  row('`getToken`, own copy', grouped(1e9 / copy), `${(copy / 1000).toFixed(2)} us`);
  for (const name of Object.keys(rounds[0].rate)) {
    const shown = name === 'getToken' ? '`getToken`, over the socket' : `\`${name}\``;
    const alone = medianOf(rounds, (r) => r.alone[name]);
    row(shown, grouped(medianOf(rounds, (r) => r.rate[name])), `${alone.toFixed(0)} us`);
  }
  console.log();
}

/* Answers whether all is met. */
function reportGoals(rounds) {
  const of = (kind, name) => medianOf(rounds, (r) => r[kind].getToken / r[kind][name]);
  const copy = medianOf(rounds, (r) => Math.max(r.copy.awaited, r.copy.called) / 1000);
  const calls = `calls a second, ${IN_FLIGHT} in flight, of`;
  const goals = [
    ['own copy', copy, 'under 1 us', (x) => x < 1],
    [`${calls} undici's request`, of('rate', 'undici.request'), 'at least 4', (x) => x >= 4],
    [`${calls} fetch's`, of('rate', 'fetch'), 'at least 20', (x) => x >= 20],
    ["p50, of http.get's", of('alone', 'http.get'), 'at most 0.5', (x) => x <= 0.5],
  ];
  row('what', 'reach', 'measured', '');
  row('---', '---', '---', '---');
  for (const [what, measured, reach, isMet] of goals)
    row(what, reach, measured.toFixed(2), isMet(measured) ? 'met' : 'not met');
  return goals.every(([, measured, , isMet]) => isMet(measured));
}

async function main() {
  const daemon = await startDaemon();
  // It lives for an hour: one token for all rounds.
  const { jwt } = await daemon.client.sessions.getToken(...KEY);
  const server = HTTP_SERVER === 'node' ? "Node's own HTTP server" : 'the smallest HTTP server';
  console.log(`Node.js ${process.version}, ${server}, token of ${jwt.length} bytes\n`);
  const rounds = await measure(daemon, jwt);
  reportFigures(rounds);
  if (!reportGoals(rounds)) process.exitCode = 1;
}

main()
  .catch((error) => {
    console.error(error);
    process.exitCode = 2;
  })
  .finally(() => {
    for (const child of children) child.kill();
    fs.rmSync(directory, { recursive: true, force: true });
    process.exit();
  });
