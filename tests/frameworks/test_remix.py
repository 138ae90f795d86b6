import frameworks
import harness


class Remix(frameworks.Framework, harness.Case):
    name = "remix"
    argv = ["node_modules/@remix-run/serve/dist/cli.js", "build/server/index.js"]
    routes = {"Remix": "/token"}
