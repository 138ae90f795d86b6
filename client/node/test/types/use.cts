/* The same package, by require. */
import clerktoken = require('clerktoken');

const client: clerktoken.Client = clerktoken.createClient();
const asked: Promise<clerktoken.Token> = client.sessions.getToken('sess_1', 'hasura');
void asked;
