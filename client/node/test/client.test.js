'use strict';

/* The client, against a daemon that does what the test says. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { createClient } = require('../src/index.js');
const { ID, JWT, fakeDaemon, makeDirectory, tokenFields, waitFor } = require('./harness.js');

const TIMEOUT = { timeout: 30000 };
const NOBODY = 65534;
const OTHER_ID = '1f2e3d4c5b6a7988';
const OTHER_JWT = 'eyJh.eyJ0.bmV3';

const client = (t, fake, options) => {
  const made = createClient({ socket: fake.socket, ...options });
  t.after(made.close);
  return made;
};

/* Answers each GET with a token, the n-th with one that holds n. */
const numbered = () => {
  let n = 0;
  return ([verb]) => (verb === 'GET' ? `OK ${tokenFields({ jwt: `a.b.${++n}` })}` : 'OK dropped=0');
};
const gets = (fake) => fake.requests.filter((request) => request.startsWith('GET')).length;
const get = (c, ...args) => c.sessions.getToken('sess_1', ...args);

test('what is asked is what is sent', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const c = client(t, fake, { copies: false });
  await get(c, 'hasura');
  await get(c);
  await get(c, '');
  await get(c, null, null);
  await get(c, 'hasura', 600, { minTtl: 30, wait: 500, not: OTHER_ID });
  await get(c, 'hasura', undefined, { timeoutMs: 1000 });
  assert.deepEqual(fake.requests, [
    'GET sess_1 hasura',
    'GET sess_1 -',
    'GET sess_1 -',
    'GET sess_1 -',
    `GET sess_1 hasura expires_in=600 min_ttl=30 wait=500 not=${OTHER_ID}`,
    'GET sess_1 hasura wait=900',
  ]);
});

test('a token is { jwt }, with an id behind it', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const token = await get(client(t, fake), 'hasura');
  assert.deepEqual({ ...token }, { jwt: JWT });
  assert.equal(JSON.stringify(token), JSON.stringify({ jwt: JWT }));
  assert.equal(token.id, ID);
  assert.throws(() => (token.jwt = 'x'), TypeError);
});

test('nothing is sent that is no name', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const c = client(t, fake);
  const is404 = { status: 404, tokendCode: 'invalid_name' };
  await assert.rejects(c.sessions.getToken('a\nFLUSH', 't'), is404);
  await assert.rejects(c.sessions.getToken('a b', 't'), is404);
  await assert.rejects(c.sessions.getToken({ toString: () => 'x' }, 't'), is404);
  for (const template of ['a\nFLUSH', 'a b', '-', '..', 7])
    await assert.rejects(get(c, template), is404);
  await assert.rejects(c.sessions.getToken('', 't'), /A valid resource ID is required/);
  await assert.rejects(c.drop('a\nFLUSH'), is404);
  await assert.rejects(c.drop('sess_1', 'a\nFLUSH'), is404);
  const is422 = { status: 422, tokendCode: 'invalid_argument' };
  for (const seconds of [29, 1.5, '60', NaN, 315360001])
    await assert.rejects(get(c, 't', seconds), is422);
  for (const options of [{ not: 'x\nFLUSH' }, { wait: -1 }, { minTtl: '1\nFLUSH' }, { timeoutMs: 0 }])
    await assert.rejects(get(c, 't', undefined, options), is422);
  assert.deepEqual(fake.requests, []);
});

test('answers find their requests in any order', TIMEOUT, async (t) => {
  const held = [];
  const fake = await fakeDaemon(t, ([, , template], connection) => {
    held.push([connection.tag, template]);
    if (held.length < 100) return undefined;
    for (const [tag, name] of held.reverse())
      connection.write(`${tag} OK ${tokenFields({ jwt: `a.b.${name}` })}\n`);
    return undefined;
  });
  const c = client(t, fake, { copies: false });
  const names = Array.from({ length: 100 }, (_, i) => `t${i}`);
  const tokens = await Promise.all(names.map((name) => get(c, name)));
  assert.deepEqual(tokens.map((token) => token.jwt), names.map((name) => `a.b.${name}`));
  assert.equal(fake.connections.size, 1);
});

test('the errors of the daemon are Clerk\'s', TIMEOUT, async (t) => {
  let answer;
  const fake = await fakeDaemon(t, () => answer);
  const c = client(t, fake);
  const cases = {
    not_found: [404, 'resource_not_found'],
    denied: [403, 'authorization_invalid'],
    unauthorized: [401, 'clerk_key_invalid'],
    forbidden: [403, 'authorization_invalid'],
    rejected: [422, 'form_param_value_invalid'],
    rate_limited: [429, 'too_many_requests'],
    unavailable: [503, 'service_unavailable'],
    timeout: [504, 'gateway_timeout'],
    overloaded: [503, 'service_unavailable'],
    internal: [500, 'internal_clerk_error'],
    code_of_the_future: [503, 'service_unavailable'],
    constructor: [503, 'service_unavailable'],
    ['__proto__']: [503, 'service_unavailable'],
  };
  for (const [code, [status, clerkCode]] of Object.entries(cases)) {
    answer = `ERR ${code} retry=1500 as it was told`;
    const error = await get(c, 't').catch((e) => e);
    assert.equal(error.name, 'ClerkAPIResponseError');
    assert.equal(error.status, status, code);
    assert.equal(error.retryAfter, 2);
    assert.equal(error.retryMs, 1500);
    assert.equal(error.tokendCode, code);
    assert.equal(error.message, 'as it was told');
    assert.equal(error.errors.length, 1);
    assert.equal(error.errors[0].code, clerkCode);
    assert.equal(error.errors[0].longMessage, 'as it was told');
    assert.deepEqual(error.errors[0].meta, {});
  }
  answer = 'ERR code_of_the_future retry=never as it was told';
  await assert.rejects(get(c, 't'), { status: 422, retryAfter: undefined });
});

test('a copy is handed out without asking', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, numbered());
  const c = client(t, fake);
  const first = await get(c, 't');
  assert.equal(await get(c, 't'), first);
  assert.equal(await get(c, 't', undefined, { minTtl: 50 }), first);
  assert.equal(gets(fake), 1);
  assert.notEqual(await get(c, 't', undefined, { minTtl: 56 }), first, 'more than it has left');
  assert.notEqual(await get(c, 't', 600), first, 'another lifetime');
  assert.equal(gets(fake), 3);
});

test('no copy, if none are wanted', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, numbered());
  for (const copies of [false, { max: 0 }]) {
    const c = client(t, fake, { copies });
    assert.notEqual(await get(c, 't'), await get(c, 't'));
  }
  assert.ok(!fake.requests.includes('TRACK on'));
});

test('no copy, if drops are not told of', TIMEOUT, async (t) => {
  const refusing = await fakeDaemon(t, numbered());
  const c = client(t, refusing);
  // The fake daemon answers TRACK by itself: here it is refused before.
  refusing.server.prependListener('connection', (connection) => {
    const write = connection.write.bind(connection);
    connection.write = (text) =>
      write(text.startsWith('#track ') ? '#track ERR overloaded retry=3600000 no room\n' : text);
  });
  assert.notEqual(await get(c, 't'), await get(c, 't'));
  assert.equal(refusing.requests.filter((request) => request === 'TRACK on').length, 1);
});

test('a refused copy is not handed out, any other is', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, ([, , , not]) =>
    `OK ${not ? tokenFields({ jwt: OTHER_JWT, id: OTHER_ID }) : tokenFields()}`,
  );
  const c = client(t, fake);
  const first = await get(c, 't');
  const other = await get(c, 't', undefined, { not: first.id });
  assert.equal(other.jwt, OTHER_JWT);
  assert.equal(await get(c, 't'), other);
  assert.equal(await get(c, 't', undefined, { not: first.id }), other);
  assert.equal(gets(fake), 2);
});

test('a drop is obeyed when it comes', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, numbered());
  const c = client(t, fake);
  const pushes = {
    '* DROP sess_1 t': ['t'],
    '* DROP sess_1 *': ['', 't', 'u'],
    '* DROP sess_1 -': [''],
    '* DROP * *': ['', 't', 'u'],
    '* DROP sess_2 *': [],
    '* NEWS of the future': [],
  };
  for (const [push, gone] of Object.entries(pushes)) {
    const before = {};
    for (const template of ['', 't', 'u']) before[template] = await get(c, template);
    fake.push(push);
    await c.ping();
    for (const template of ['', 't', 'u'])
      assert.equal((await get(c, template)) !== before[template], gone.includes(template), push);
  }
});

test('its own drop forgets at once', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, numbered());
  const c = client(t, fake);
  const first = await get(c, 't');
  const plain = await get(c);
  const dropped = c.drop('sess_1', 't');
  const second = get(c, 't');
  assert.notEqual(await second, first);
  assert.deepEqual(await dropped, { dropped: 0 });
  assert.equal(await get(c), plain);
  await c.drop('sess_1', '');
  assert.notEqual(await get(c), plain);
  await c.drop('sess_1');
  assert.notEqual(await get(c, 't'), await second);
  const drops = fake.requests.filter((request) => request.startsWith('DROP'));
  assert.deepEqual(drops, ['DROP sess_1 t', 'DROP sess_1 -', 'DROP sess_1']);
});

test('an answer to what was asked before a drop is no copy', TIMEOUT, async (t) => {
  let connection = null;
  const fake = await fakeDaemon(t, ([verb], from) => {
    if (verb === 'PING') return 'OK pong';
    connection = from;
    return connection.wantsMore ? `OK ${tokenFields({ jwt: OTHER_JWT })}` : undefined;
  });
  const c = client(t, fake);
  const asked = get(c, 't');
  await waitFor(() => connection);
  const { tag } = connection;
  connection.write(`* DROP sess_1 t\n${tag} OK ${tokenFields()}\n`);
  assert.equal((await asked).jwt, JWT);
  connection.wantsMore = true;
  assert.equal((await get(c, 't')).jwt, OTHER_JWT);
});

test('an answer in front of a drop, read with it, is no copy either', TIMEOUT, async (t) => {
  let once = true;
  const fake = await fakeDaemon(t, (_, connection) => {
    if (!once) return `OK ${tokenFields({ jwt: OTHER_JWT })}`;
    once = false;
    connection.write(`${connection.tag} OK ${tokenFields()}\n* DROP sess_1 *\n`);
    return undefined;
  });
  const c = client(t, fake);
  assert.equal((await get(c, 't')).jwt, JWT);
  assert.equal((await get(c, 't')).jwt, OTHER_JWT);
});

test('with the connection all copies are lost', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, numbered());
  const c = client(t, fake);
  const first = await get(c, 't');
  fake.hangUp();
  await waitFor(async () => (await get(c, 't')) !== first, 'another token');
  assert.equal(fake.requests.filter((request) => request === 'TRACK on').length, 2);
});

test('a restart of the daemon fails nothing', TIMEOUT, async (t) => {
  let isSilent = true;
  const fake = await fakeDaemon(t, () => (isSilent ? undefined : `OK ${tokenFields()}`));
  const c = client(t, fake);
  const asked = Promise.all(['a', 'b', 'c'].map((template) => get(c, template)));
  await waitFor(() => gets(fake) === 3);
  await fake.close();
  isSilent = false;
  const late = get(c, 'd');
  await fake.listen();
  assert.equal((await asked).length, 3);
  assert.equal((await late).jwt, JWT);
});

test('who is told that the daemon stops asks the next one', TIMEOUT, async (t) => {
  let isStopping = true;
  const fake = await fakeDaemon(t, (_, connection) => {
    if (!isStopping) return `OK ${tokenFields()}`;
    isStopping = false;
    connection.end(`${connection.tag} ERR shutting_down retry=100 the daemon is stopping\n`);
    return undefined;
  });
  assert.equal((await get(client(t, fake), 't')).jwt, JWT);
});

test('what ends each connection is not sent for ever', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, ([, , template], connection) => {
    if (template !== 'poison') return `OK ${tokenFields()}`;
    connection.destroy();
    return undefined;
  });
  const c = client(t, fake);
  await assert.rejects(get(c, 'poison'), { status: 503, tokendCode: 'io' });
  assert.equal(gets(fake), 3);
  assert.equal((await get(c, 't')).jwt, JWT);
});

test('no daemon is an error at once, and a later one is found', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  await fake.close();
  const c = client(t, fake);
  const began = performance.now();
  await assert.rejects(get(c, 't'), { status: 503, tokendCode: 'no_daemon' });
  assert.ok(performance.now() - began < 2000);
  await fake.listen();
  assert.equal((await get(c, 't')).jwt, JWT);
});

test('a daemon that went away for good is one too, by and by', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => undefined);
  const c = client(t, fake);
  const asked = get(c, 't', undefined, { timeoutMs: 400 });
  await waitFor(() => gets(fake) === 1);
  await fake.close();
  await assert.rejects(asked, { tokendCode: 'no_daemon' });
});

test('a socket that may not be opened is a refusal', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  require('node:fs').chmodSync(fake.socket, 0);
  const isRoot = process.geteuid() === 0; // who may open all
  if (isRoot) process.seteuid(NOBODY);
  const asked = get(client(t, fake), 't'); // which tries at once
  if (isRoot) process.seteuid(0);
  await assert.rejects(asked, { status: 403, tokendCode: 'denied' });
});

test('there is no waiting for ever', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, ([, , template]) =>
    template === 'silent' ? undefined : `OK ${tokenFields()}`,
  );
  const c = client(t, fake, { timeoutMs: 20000, copies: false });
  const long = get(c, 'silent');
  const failed = assert.rejects(long, { tokendCode: 'closed' });
  const began = performance.now();
  await assert.rejects(get(c, 'silent', undefined, { timeoutMs: 100 }), {
    status: 504,
    tokendCode: 'deadline',
  });
  const took = performance.now() - began;
  assert.ok(took >= 99 && took < 5000, String(took));
  assert.equal((await get(c, 't')).jwt, JWT, 'the connection goes on');
  c.close();
  await failed;
});

test('a late answer is nobody\'s', TIMEOUT, async (t) => {
  let late = '';
  const fake = await fakeDaemon(t, ([verb, , template], connection) => {
    if (verb === 'PING') connection.write(`${late} OK ${tokenFields({ jwt: OTHER_JWT })}\n`);
    if (template !== 'late') return verb === 'PING' ? 'OK pong' : `OK ${tokenFields()}`;
    late = connection.tag;
    return undefined;
  });
  const c = client(t, fake);
  await assert.rejects(get(c, 'late', undefined, { timeoutMs: 50 }), { tokendCode: 'deadline' });
  await c.ping();
  assert.equal((await get(c, 't')).jwt, JWT);
});

test('an AbortSignal ends the wait with its reason', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, ([, , template]) =>
    template === 'silent' ? undefined : `OK ${tokenFields()}`,
  );
  const c = client(t, fake);
  const abort = new AbortController();
  const asked = get(c, 'silent', undefined, { signal: abort.signal });
  const reason = new Error('enough');
  abort.abort(reason);
  await assert.rejects(asked, (error) => error === reason);
  await get(c, 't', undefined, { signal: new AbortController().signal });
  await assert.rejects(get(c, 't', undefined, { signal: abort.signal }), (e) => e === reason);
  await assert.rejects(get(c, 'x', undefined, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const aborted = { signal: abort.signal };
  for (const asked of [c.ping(aborted), c.stats(aborted), c.drop('sess_1', undefined, aborted)])
    await assert.rejects(asked, (error) => error === reason);
  const withoutReason = new AbortController();
  withoutReason.abort(null);
  const { signal } = withoutReason;
  const fallback = client(t, fake, { fallback: c });
  await assert.rejects(get(fallback, 't', undefined, { signal }), (error) => error === null);
  const soon = AbortSignal.timeout(30);
  await assert.rejects(get(c, 'silent', undefined, { signal: soon }), { name: 'TimeoutError' });
});

test('listeners on a signal do not pile up', TIMEOUT, async (t) => {
  const { getEventListeners } = require('node:events');
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const c = client(t, fake, { copies: false });
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++) await get(c, 't', undefined, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('what is malformed ends the connection, and the next one works', TIMEOUT, async (t) => {
  const bad = [
    'HTTP/1.1 400 Bad Request\n',
    'OK nothing was asked like this\n',
    '#1 OK no.token.here\n',
    '* DROP\n',
    `#${'9'.repeat(40)} OK\n`,
    Buffer.from([0, 255, 10]),
    Buffer.alloc(1024 * 1024 + 513, 'x'),
  ];
  let said;
  const fake = await fakeDaemon(t, (_, connection) => {
    if (said === undefined) return `OK ${tokenFields()}`;
    connection.write(said);
    said = undefined;
    return undefined;
  });
  for (const bytes of bad) {
    const c = client(t, fake, { copies: false });
    said = bytes;
    await assert.rejects(get(c, 't'), { status: 502, tokendCode: 'protocol' });
    assert.equal((await get(c, 't')).jwt, JWT);
  }
});

test('statistics that are no JSON are malformed', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, ([verb]) => (verb === 'STATS' ? 'OK {"tokens":' : 'OK pong'));
  const c = client(t, fake);
  await assert.rejects(c.stats(), { status: 502, tokendCode: 'protocol' });
  await c.ping();
});

test('a daemon at its limit says so to the connection', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, (_, connection) => {
    connection.end('ERR overloaded retry=1000 too many clients\n');
    return undefined;
  });
  const c = client(t, fake);
  await assert.rejects(get(c, 't'), { status: 503, tokendCode: 'overloaded', retryAfter: 1 });
});

test('the requests of a tick leave together', TIMEOUT, async (t) => {
  let reads = 0;
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  fake.server.on('connection', (connection) => connection.on('data', () => reads++));
  const c = client(t, fake, { copies: false });
  await c.ping();
  reads = 0;
  await Promise.all(Array.from({ length: 100 }, (_, i) => get(c, `t${i}`)));
  assert.equal(reads, 1);
});

test('Clerk itself is asked while the daemon is away, if that is wanted', TIMEOUT, async (t) => {
  const asked = [];
  const clerk = {
    sessions: {
      getToken: async (...args) => {
        asked.push(args);
        return { jwt: 'from.clerk.itself' };
      },
    },
  };
  const missing = `${makeDirectory(t)}/s`;
  const c = client(t, { socket: missing }, { fallback: clerk });
  assert.equal((await get(c, 't', 600)).jwt, 'from.clerk.itself');
  assert.deepEqual(asked, [['sess_1', 't', 600]]);
  await assert.rejects(get(c, 'a b'), { status: 404 });

  const fake = await fakeDaemon(t, () => 'ERR unavailable retry=1000 Clerk is down');
  await assert.rejects(get(client(t, fake, { fallback: clerk }), 't'), { tokendCode: 'unavailable' });
  const silent = await fakeDaemon(t, () => undefined);
  const late = get(client(t, silent, { fallback: clerk, timeoutMs: 50 }), 't');
  await assert.rejects(late, { tokendCode: 'deadline' });
  assert.equal(asked.length, 1);
});

test('a closed client is closed', TIMEOUT, async (t) => {
  const fake = await fakeDaemon(t, () => undefined);
  const c = client(t, fake);
  const asked = assert.rejects(get(c, 't'), { tokendCode: 'closed' });
  await waitFor(() => gets(fake) === 1);
  c.close();
  await asked;
  await waitFor(() => fake.connections.size === 0);
  await assert.rejects(get(c, 't'), { tokendCode: 'closed' });
  c.close();
});
