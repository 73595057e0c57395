"""What runs on the hosts of a fleet, which is this machine: told by identity, never by name, so that a
number that was given to another process since is not taken for the one that was meant."""
import glob
import os
import select
import signal

from muster_case import processes_of


class Process:
    """A process as it was when looked at: alive() is of that one only."""

    def __init__(self, pid):
        self.pid, self.start = pid, started(pid)

    def alive(self):
        s = stat_of(self.pid)
        return s is not None and s[19] == self.start and s[0] not in 'ZX'

    def kill(self, sig=signal.SIGKILL):
        """True when it was sent; exactly to this process."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(fd, sig)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)

    def wait(self, seconds):
        """Whether it ends within so long, by event."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([fd], [], [], seconds)[0])
        finally:
            os.close(fd)

    def command(self):
        try:
            with open(f'/proc/{self.pid}/cmdline', 'rb') as f:
                return f.read().replace(b'\0', b' ').decode(errors='replace')
        except OSError:
            return ''

    def has_open(self, end):
        """Whether one of its descriptors is of a path with such an end."""
        for link in glob.glob(f'/proc/{self.pid}/fd/*'):
            try:
                if os.readlink(link).endswith(end):
                    return True
            except OSError:  # it closed it, or ended
                continue
        return False

    def __repr__(self):
        return f'{self.pid} ({self.command()[:200]})'

    def __eq__(self, other):
        return (self.pid, self.start) == (other.pid, other.start)

    def __hash__(self):
        return hash((self.pid, self.start))


def stat_of(pid):
    """Fields of /proc/PID/stat from the state on; None when it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()
    except OSError:
        return None


def started(pid):
    s = stat_of(pid)
    return s[19] if s else None


def below(pid):
    """All that a process has started, itself not."""
    return [p for p in map(Process, processes_of(pid)[1:]) if p.start is not None and p.alive()]


def parent_of(p):
    """The process above; of a command that an agent runs, its keeper."""
    s = stat_of(p.pid)
    return Process(int(s[1])) if s else None


def agents_below(pid):
    """muster-agents that were started over a server's connections, without their keepers."""
    return [p for p in below(pid) if 'muster-agent' in p.command().split(' ')[0]]


def marked(text):
    """Processes with this text in their environment or command line, this one not. What we may not look
    into (an agent is not dumpable) is told to root only."""
    text, found = text.encode(), []
    for d in glob.glob('/proc/[0-9]*'):
        pid = int(os.path.basename(d))
        if pid == os.getpid():
            continue
        for name in ('environ', 'cmdline'):
            try:
                with open(f'{d}/{name}', 'rb') as f:
                    if text in f.read():
                        found.append(Process(pid))
                        break
            except OSError:
                pass
    return [p for p in found if p.start is not None and p.alive()]
