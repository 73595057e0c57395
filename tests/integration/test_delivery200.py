#!/usr/bin/python3
"""First contact with 200 hosts of real sshd, each with a home of its own: the agent goes to each once, and never again."""
import os
import time
import unittest

from test_delivery import Delivery, VERBOSE

COUNT = int(os.environ.get('MUSTER_HOSTS', '200'))


class FirstContact(Delivery):
    def test_first_contact(self):
        f = self.fleet()
        web = f.sshd('web', COUNT, per_host=True, config=VERBOSE)
        f.write()
        times, stored = [], []
        for _ in range(2):
            start = time.monotonic()
            self.all_answer(f, 'all')
            times.append(time.monotonic() - start)
            stored.append({h.name: self.stored(h) for h in web})
        self.assertEqual(stored[0], stored[1])
        sent = {h.name: self.received(h, 2) for h in web}
        for h in web:
            self.is_good(h)
            self.assertTrue(self.size < sent[h.name][0] < self.size * 3 // 2, (h, sent[h.name]))
            self.assertLess(sent[h.name][1], self.size // 8, h)
        print(f'\n{COUNT} hosts: first contact {times[0]:.1f} s and {sum(s[0] for s in sent.values()) >> 10} KiB, '
              f'again {times[1]:.1f} s and {sum(s[1] for s in sent.values()) >> 10} KiB', flush=True)


for name in [n for n in dir(Delivery) if n.startswith('test_')]:
    setattr(FirstContact, name, None)     # once is enough
del Delivery                              # nor here under its own name

if __name__ == '__main__':
    unittest.main(verbosity=2)
