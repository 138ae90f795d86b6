import { ClerkApp } from '@clerk/remix'
import { rootAuthLoader } from '@clerk/remix/ssr.server'
import { Outlet, Scripts } from '@remix-run/react'

export const loader = (args) => rootAuthLoader(args)

function App() {
  return (
    <html lang="en">
      <body>
        <Outlet />
        <Scripts />
      </body>
    </html>
  )
}

export default ClerkApp(App)
