/* The Node.js package of client/node, for tests/conformance: see its README. */
import { createInterface } from 'node:readline';

import { createClient } from '../../../client/node/src/index.mjs';

const client = createClient();
/* Its own word for what can be no name, which Clerk would not know either. */
const CODES = { invalid_name: 'invalid_argument' };

const number = (text) => (text === undefined ? undefined : Number(text));

async function run(verb, names, options) {
  const [session, template] = names.map((name) => (name === '-' ? '' : name));
  if (verb === 'drop') return `ok dropped=${(await client.drop(session, template)).dropped}`;
  const token = await client.sessions.getToken(session, template, number(options.expires_in), {
    minTtl: number(options.min_ttl),
    not: options.not,
    timeoutMs: number(options.timeout),
  });
  return `ok ${token.jwt} id=${token.id}`;
}

async function answer(line) {
  const words = line.split(' ');
  const label = words[0].startsWith('@') ? `${words.shift()} ` : '';
  const names = words.slice(1).filter((word) => !word.includes('='));
  const options = words.filter((word) => word.includes('=')).map((word) => word.split('='));
  const decoded = options.map(([name, value]) => [name, decode(value)]);
  const result = await run(words[0], names.map(decode), Object.fromEntries(decoded)).catch(
    (error) => `error ${CODES[error.tokendCode] ?? error.tokendCode} retry=${error.retryMs ?? 'never'}`,
  );
  console.log(label + result);
}

/* Each XX is a byte, as in Latin-1. */
function decode(word) {
  return word.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'capabilities')
    console.log('capabilities concurrent copies drop expires_in min_ttl not');
  else if (line.startsWith('@')) answer(line);
  else await answer(line);
}
client.close();
