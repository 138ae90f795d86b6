/* As sdk.mjs, the way that older applications are written. */
const [, , sdk, count, session, template] = process.argv;
const { createClerkClient } = require(sdk);
const clerk = createClerkClient({
  secretKey: process.env.CLERK_SECRET_KEY,
  apiUrl: process.env.CLERK_API_URL,
  telemetry: { disabled: true },
});
const calls = Array.from({ length: Number(count) }, () =>
  clerk.sessions.getToken(session, template),
);
Promise.all(calls).then((tokens) =>
  console.log(JSON.stringify({ tokens: tokens.map((token) => token.jwt) })),
);
