"""Small programs that run inside a container to see and end pool processes, which the engine cannot name.

They need nothing but Python and /proc, and the container's own user may do what they do.
"""

_FIND = """
import os, signal, sys
parents = {}
for entry in os.listdir("/proc"):
    if entry.isdigit():
        try:
            with open(f"/proc/{entry}/stat") as handle:
                state, parent = handle.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(entry)] = int(parent)
# The init process is 1 and has one child, the program; without an init the program itself is 1.
first = sorted(pid for pid, parent in parents.items() if parent == 1 and pid != os.getpid())
with open("/proc/1/cmdline") as handle:
    init = "init" in handle.read().split("\\0")[0]
program = first[0] if init and first else 1
children = sorted(pid for pid, parent in parents.items() if parent == program)
"""

CHILDREN = f"{_FIND}\nprint(*children)\n"

KILL_CHILD = f"""{_FIND}
pid = int(sys.argv[1])
if pid not in children:
    sys.exit("it is no child of the program")
os.kill(pid, signal.SIGKILL)
"""
