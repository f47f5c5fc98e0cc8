"""Runs a program at a terminal of its own, passes on what is typed and shown, and ends with its exit code. Says at the end
whether the terminal was left as it was."""
import fcntl
import os
import select
import sys
import termios

master, slave = os.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execv(sys.argv[1], sys.argv[1:])

ended = None
is_typing = True
while True:
    ready, _, _ = select.select([master] + ([0] if is_typing else []), [], [], 0.02)
    if master in ready:
        os.write(1, os.read(master, 65536))
    elif ended is not None:
        break
    if 0 in ready:
        typed = os.read(0, 65536)
        is_typing = len(typed) > 0
        os.write(master, typed)
    if ended is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        ended = os.waitstatus_to_exitcode(status) if done else None

flags = termios.tcgetattr(slave)[3]
os.write(1, b"echo is on\n" if flags & termios.ECHO and flags & termios.ICANON else b"echo is off\n")
sys.exit(ended if ended >= 0 else 128 - ended)
