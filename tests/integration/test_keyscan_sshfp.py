#!/usr/bin/python3
"""muster keyscan --sshfp against a name server of our own: right, wrong, missing, authenticated or not."""
import base64
import hashlib
import json
import os
import socket
import struct
import threading

from muster_case import MUSTER, MusterCase, main


class Server(threading.Thread):
    """Answers SSHFP questions over UDP from {name: [(algorithm, digest)]}."""

    def __init__(self, records, authenticated, address='127.53.0.1'):
        super().__init__(daemon=True)
        self.records, self.authenticated, self.asked = records, authenticated, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.where = '%s:%d' % self.socket.getsockname()
        self.start()

    def run(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            at, labels = 12, []
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            name = '.'.join(labels)
            self.asked.append(name)
            found = self.records.get(name)
            flags = 0x8180 | (0x20 if self.authenticated else 0) | (0 if found is not None else 3)
            answer = question[:2] + struct.pack('>HHHHH', flags, 1, len(found or []), 0, 0) + question[12:at + 5]
            for algorithm, digest in found or []:
                data = bytes([algorithm, 2]) + digest
                answer += b'\xc0\x0c' + struct.pack('>HHIH', 44, 1, 60, len(data)) + data
            self.socket.sendto(answer, peer)


class Sshfp(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.hosts = {n: self.f.sshd(n, 1, known='none', own_key=True)[0] for n in ('good', 'bad', 'none')}
        self.f.write()
        self.digest = {n: hashlib.sha256(base64.b64decode(h.key.split()[1])).digest() for n, h in self.hosts.items()}
        self.records = {'good1': [(1, bytes(32)), (4, self.digest['good'])], 'bad1': [(4, self.digest['good'])]}

    def proofs(self, authenticated, *args):
        server = Server(self.records, authenticated)
        self.addCleanup(server.socket.close)
        r = self.execute(self.argv(self.f, '-o', 'json', '--sshfp', '--sshfp-server', server.where, '--yes', *args, 'all',
                                   verb='keyscan'))
        self.assertEqual(sorted(set(server.asked)), ['bad1', 'good1', 'none1'], r)
        return r, {h['host']: (h['keys'][0]['proof'], h['keys'][0]['proof_by']) for h in json.loads(r.out)['hosts']}

    def recorded(self):
        with open(self.f.known_hosts) as f:
            text = f.read()
        return [n for n, h in self.hosts.items() if h.key in text]

    def test_authenticated(self):
        r, proofs = self.proofs(True)
        self.assertEqual(proofs, {'good1': ('verified', 'SSHFP, authenticated'),
                                  'bad1': ('denied', 'SSHFP, authenticated'), 'none1': ('none', None)}, r)
        self.assertEqual(r.code, 2, r)
        self.assertEqual(self.recorded(), ['good', 'none'])

    def test_not_authenticated(self):
        r, proofs = self.proofs(False, '--only-verified')
        self.assertEqual(proofs, {'good1': ('none', 'matches SSHFP, not authenticated'),
                                  'bad1': ('none', 'DIFFERS from SSHFP, not authenticated'),
                                  'none1': ('none', None)}, r)
        self.assertEqual(r.code, 0, r)
        self.assertEqual(self.recorded(), [])

    def test_a_wrong_server(self):
        r = self.execute([MUSTER, 'keyscan', '-i', self.f.inventory, '--sshfp', '--sshfp-server', 'nobody', 'all'])
        self.assertEqual(r.code, 1, r)
        self.assertIn("'nobody' is no IPv4 address", r.err)


if __name__ == '__main__':
    main()
