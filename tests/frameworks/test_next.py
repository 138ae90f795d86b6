import frameworks
import harness


class Next(frameworks.Framework, harness.Case):
    name = "next"
    # By the address 127.0.0.1 it would take its own middleware's answers for another host's.
    argv = ["node_modules/next/dist/bin/next", "start", "-H", "localhost"]
    routes = {"Next.js, App Router": "/token", "Next.js, Pages Router": "/api/token"}
