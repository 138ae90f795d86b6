// App Router.
import { auth, clerkClient } from '@clerk/nextjs/server'

export async function GET() {
  const { sessionId } = await auth()
  if (!sessionId) {
    return Response.json({ error: 'signed out' }, { status: 401 })
  }
  const client = await clerkClient()
  const { jwt } = await client.sessions.getToken(sessionId, 'hasura')
  return Response.json({ jwt })
}
