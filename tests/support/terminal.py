"""A program on a terminal of its own: what it shows is read as it comes, and answered."""
import os
import pty
import select


class Terminal:
    def __init__(self, case, argv, env, cwd=None):
        self.case, self.said = case, b''
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            if cwd:
                os.chdir(cwd)
            os.execve(argv[0], argv, env)
        case.addCleanup(os.close, self.master)

    def until(self, mark):
        """Reads until `mark` was shown, or to the end for None; returns all of it so far."""
        start = len(self.said)
        while mark is None or mark not in self.said[start:]:
            ready, _, _ = select.select([self.master], [], [], 600)
            self.case.assertTrue(ready, self.said)
            try:
                chunk = os.read(self.master, 65536)
            except OSError:
                break
            if not chunk:
                break
            self.said += chunk
        if mark is not None:
            self.case.assertIn(mark, self.said[start:])
        return self.said

    def answer(self, mark, text):
        self.until(mark)
        os.write(self.master, text.encode() + b'\n')

    def end(self):
        """The exit code; self.said is all that was shown."""
        self.until(None)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
