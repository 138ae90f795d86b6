// Gets the tokens of several sessions at the same time, over one connection, and prints for each its
// session and the token, or why there is none.
//
//     npm install PATH/client/node && node fetch.mjs TEMPLATE SESSION...
import { createClient } from 'clerktoken';

const [template, ...sessions] = process.argv.slice(2);
const client = createClient({ timeoutMs: 3000 });

// The signature is that of Clerk's own `clerkClient.sessions.getToken()`.
const answers = await Promise.allSettled(
  sessions.map((session) => client.sessions.getToken(session, template)),
);

answers.forEach(({ value, reason }, at) => {
  if (value) {
    console.log(sessions[at], value.jwt);
  } else {
    console.error(`${sessions[at]}: ${reason.message}`);
    process.exitCode = 1;
  }
});
client.close();
