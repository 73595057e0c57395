#!/usr/bin/python3
"""The same job with asyncssh: one process, one loop, a semaphore for the fan-out. For tests/bench/peers.

    asyncssh_run.py FANOUT KEY USER KNOWN_HOSTS TARGETS COMMAND [own|plain]

As fast as it can be made: the key and known_hosts are read once, one algorithm of each kind is offered.
`own`: read once too, but with the algorithms that it offers by itself (the key exchange is the same:
curve25519 is its first choice). `plain`: as in its manual, where each connection names the files.
"""
import asyncio
import sys
import warnings

warnings.simplefilter('ignore')  # of the cryptography package, about ciphers that nobody uses here
import asyncssh  # noqa: E402


async def one(gate, address, port, options, command):
    async with gate:
        async with asyncssh.connect(address, port, **options) as c:
            r = await c.run(command, check=False)
            return r.exit_status == 0


async def main():
    fanout, key, user, known_hosts, targets, command = sys.argv[1:7]
    options = {'username': user, 'client_keys': [key], 'known_hosts': known_hosts}
    if sys.argv[7:] != ['plain']:
        options.update(client_keys=[asyncssh.read_private_key(key)], config=None, agent_path=None,
                       known_hosts=asyncssh.read_known_hosts(known_hosts))
    if not sys.argv[7:]:
        options.update(kex_algs=['curve25519-sha256'], encryption_algs=['aes128-gcm@openssh.com'],
                       server_host_key_algs=['ssh-ed25519'])
    gate = asyncio.Semaphore(int(fanout))
    with open(targets, encoding='ascii') as f:
        hosts = [line.strip().rsplit(':', 1) for line in f if line.strip()]
    done = await asyncio.gather(*(one(gate, a, int(p), options, command) for a, p in hosts), return_exceptions=True)
    ok = sum(x is True for x in done)
    print(f'{ok} of {len(hosts)} ok')
    for x in done:
        if x is not True:
            print(repr(x), file=sys.stderr)
            break
    return 0 if ok == len(hosts) else 1


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
