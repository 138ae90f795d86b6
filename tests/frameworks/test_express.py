import frameworks
import harness


class Express(frameworks.Framework, harness.Case):
    name = "express"
    argv = ["server.js"]
    routes = {"Express": "/token"}
