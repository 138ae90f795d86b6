/* What must compile, and what must not. By its own name, the package is what `exports` says. */
import { createClerkClient as createClerkClient1 } from 'clerk-backend-1';
import { createClerkClient } from 'clerk-backend-3';

import { ClerkAPIResponseError, createClient, withTokend } from 'clerktoken';
import type { Client, ClientOptions, GetTokenOptions, Token } from 'clerktoken';
import 'clerktoken/register';

const options: ClientOptions = { socket: '/s', copies: { max: 10 }, timeoutMs: 1000 };
const client: Client = createClient(options);
const token: Token = await client.sessions.getToken('sess_1', 'hasura', 600);
const jwt: string = (await client.sessions.getToken('sess_1')).jwt;
const more: GetTokenOptions = { signal: AbortSignal.timeout(10), not: token.id, minTtl: 1, wait: 2 };
await client.sessions.getToken('sess_1', '', undefined, more);
const { dropped }: { dropped: number } = await client.drop('sess_1', 'hasura');

const clerk = createClerkClient({ secretKey: 'sk' });
const both: typeof clerk = withTokend(clerk, { fallback: true });
withTokend(createClerkClient1({ secretKey: 'sk' }), { client });
createClient({ fallback: clerk });
await both.users.getUser('user_1');
const getToken: typeof clerk.sessions.getToken = client.sessions.getToken;

try {
  await client.ping();
} catch (error) {
  if (error instanceof ClerkAPIResponseError) {
    const status: number = error.status;
    const seconds: number | undefined = error.retryAfter;
    const first: string | undefined = error.errors[0]?.code;
    void [status, seconds, first];
  }
}

// @ts-expect-error a token can't be changed
token.jwt = '';
// @ts-expect-error no such option
createClient({ path: '/s' });
// @ts-expect-error a session is needed
await client.sessions.getToken();
// @ts-expect-error there is no fallback to Clerk without Clerk
createClient({ fallback: true });

void [jwt, dropped, getToken];
