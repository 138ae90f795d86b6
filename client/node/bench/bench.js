'use strict';

/*
 * getToken() against HTTP clients on the same machine in the same run.
 *
 *     make bench-node                  all of it
 *     node bench/bench.js --quick      for a look
 *
 * The daemon (with the sandbox behind it) and the HTTP server are processes of their own, and both
 * answer the same token of some 900 bytes. All contestants have their turns in each round; a figure is the
 * median of the rounds, a ratio the median of the rounds' ratios.
 */

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const undici = require('undici');

const { createClient } = require('..');

const BUILD = path.resolve(__dirname, '../../..', process.env.BUILD ?? 'build');
const IS_QUICK = process.argv.includes('--quick');
const ROUNDS = IS_QUICK ? 3 : 9;
const ROUND_MS = IS_QUICK ? 200 : 1000;
const IN_FLIGHT = 50;
const COPY_CALLS = 2e6;
const KEY = ['sess_2abcdefghijklmnopqrstuvwxyz', 'hasura'];
const READY_MS = 10000;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ctd-bench-'));
const children = [];

function start(program, args, env, stdio) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio });
  children.push(child);
  return child;
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
  const env = {
    CLERK_API_URL: said.includes('://') ? said : `http://${said}`,
    CLERK_SECRET_KEY: 'sk_test_sandbox',
  };
  start(program('clerk-tokend'), ['--socket', socket], env, ['ignore', 'ignore', 'ignore']);
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
  const server = start(process.execPath, [path.join(__dirname, 'http-server.js'), body], {}, stdio);
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
  const [session, template] = KEY;
  await sessions.getToken(session, template);
  const time = async (run) => {
    const before = performance.now();
    await run();
    return ((performance.now() - before) * 1e6) / COPY_CALLS;
  };
  const called = await time(() => {
    for (let i = 0; i < COPY_CALLS; i++) sessions.getToken(session, template);
  });
  const awaited = await time(async () => {
    for (let i = 0; i < COPY_CALLS; i++) await sessions.getToken(session, template);
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
    for (const [name, call] of Object.entries(all)) round.rate[name] = await rate(call, jwt);
    for (const [name, call] of Object.entries(all)) round.alone[name] = await alone(call);
    rounds.push(round);
  }
  return rounds;
}

function report(rounds) {
  const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
  row('', 'calls a second, 50 in flight', 'one at a time, p50');
  row('---', '---:', '---:');
  const { called, awaited } = {
    called: medianOf(rounds, (r) => r.copy.called),
    awaited: medianOf(rounds, (r) => r.copy.awaited),
  };
  row('`getToken`, own copy', Math.round(1e9 / awaited).toLocaleString('en'), `${(awaited / 1000).toFixed(2)} us`);
  for (const name of Object.keys(rounds[0].rate))
    row(
      name === 'getToken' ? '`getToken`, over the socket' : `\`${name}\``,
      Math.round(medianOf(rounds, (r) => r.rate[name])).toLocaleString('en'),
      `${medianOf(rounds, (r) => r.alone[name]).toFixed(0)} us`,
    );
  console.log();
  const to = (kind, name) => medianOf(rounds, (r) => r[kind].getToken / r[kind][name]);
  const goals = [
    ['own copy, us', Math.max(called, awaited) / 1000, '<', 1],
    ["calls a second, of undici.request's", to('rate', 'undici.request'), '>=', 4],
    ["calls a second, of fetch's", to('rate', 'fetch'), '>=', 20],
    ["p50, of http.get's", to('alone', 'http.get'), '<=', 0.5],
  ];
  row('what', 'reach', 'measured', '');
  row('---', '---', '---', '---');
  for (const [what, measured, sign, reach] of goals) {
    const isMet = sign === '>=' ? measured >= reach : sign === '<' ? measured < reach : measured <= reach;
    row(what, `${sign} ${reach}`, measured.toFixed(2), isMet ? 'met' : 'not met');
    if (!isMet) process.exitCode = 1;
  }
}

async function main() {
  const daemon = await startDaemon();
  const { jwt } = await daemon.client.sessions.getToken(...KEY, 3600);
  // One token for all rounds: its renewal would be a change in the middle.
  KEY.push(3600);
  console.log(`Node.js ${process.version}, token of ${jwt.length} bytes, ${ROUNDS} rounds\n`);
  report(await measure(daemon, jwt));
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
