"""Runs a program as the unit confines it, without systemd: its filter of system calls, families of addresses and memory.

    confined.py UNIT PROGRAM [ARGUMENT…]

The folders are left to the caller. What the filter refuses fails with EPERM, as in the unit.
"""

import errno
import os
import subprocess
import sys

import seccomp

PROT_WRITE, PROT_EXEC = 2, 4


def values(unit, key):
    lines = open(unit).read().splitlines()
    return [word for line in lines if line.startswith(f"{key}=") for word in line.split("=", 1)[1].split()]


def calls_of(group):
    """Returns the system calls of one of systemd's groups, and of those that it contains."""
    found = set()
    output = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    for word in (line.strip() for line in output.stdout.splitlines()[1:]):
        if word.startswith("@"):
            found |= calls_of(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed(unit):
    calls, removing = set(), False
    for word in values(unit, "SystemCallFilter"):
        removing = word.startswith("~") or removing
        group = calls_of(word.lstrip("~"))
        calls = calls - group if removing else calls | group
    return calls


def confine(unit):
    refuse = seccomp.ERRNO(errno.EPERM)
    filter = seccomp.SyscallFilter(defaction=refuse)
    known = 0
    for call in sorted(allowed(unit) - {"socket", "mmap", "mprotect"}):
        try:
            filter.add_rule(seccomp.ALLOW, call)
            known += 1
        except (RuntimeError, OSError, ValueError):
            pass  # A call of another architecture.
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
    for family in values(unit, "RestrictAddressFamilies"):
        filter.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, families[family]))
    assert values(unit, "MemoryDenyWriteExecute") == ["yes"]
    both = PROT_WRITE | PROT_EXEC
    for part in [0, PROT_WRITE, PROT_EXEC]:
        filter.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, part))
    filter.add_rule(seccomp.ALLOW, "mprotect", seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    assert known > 200, f"only {known} system calls are allowed"
    filter.load()


unit, program = sys.argv[1], sys.argv[2:]
confine(unit)
os.execv(program[0], program)
