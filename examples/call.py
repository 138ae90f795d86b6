"""Calls a service with the token of each session, several at a time, and prints what it answers.

    python3 call.py URL TEMPLATE SESSION...

A service may refuse a token that is good as far as the daemon knows: its clock is ahead, say. Then
there is one more attempt, with another token.
"""

import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import clerktoken

client = clerktoken.Client()


def ask(url, token):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token.jwt}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def call(url, template, session):
    token = client.get(session, template)
    try:
        return ask(url, token)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return ask(url, client.get(session, template, refused=token.id))


def main(url, template, *sessions):
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(call, url, template, session) for session in sessions]
    failed = False
    for session, called in zip(sessions, calls):
        try:
            print(session, called.result())
        except (clerktoken.Error, OSError) as error:
            failed = True
            print(f"{session}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: call.py URL TEMPLATE SESSION...")
    sys.exit(main(*sys.argv[1:]))
