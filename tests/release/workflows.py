"""Checks that workflows name actions by commit with the version as a comment, build with the toolchain of the Dockerfile, and have
scripts without expressions, which shellcheck accepts.

    workflows.py WORKFLOW…
"""

import re
import subprocess
import sys

import yaml

wrong = []
actions = scripts = 0
for file in sys.argv[1:]:
    text = open(file).read()
    for number, line in enumerate(text.splitlines(), 1):
        used = re.match(r"\s*(?:- )?uses: (\S+)(.*)$", line)
        if not used or used[1].startswith("./"):
            continue
        actions += 1
        if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used[1]) or not re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]):
            wrong.append(f"{file}:{number}: {line.strip()}")
    toolchain = re.search(r"^  RUST: (\S+)$", text, re.M)
    image = re.search(r"^FROM rust:([\d.]+)", open("Dockerfile").read(), re.M)
    if toolchain and toolchain[1] != image[1]:
        wrong.append(f"{file}: RUST is {toolchain[1]}, and the Dockerfile builds with {image[1]}")
    for name, job in yaml.safe_load(text)["jobs"].items():
        for step in job.get("steps", []):
            script = step.get("run")
            if script is None:
                continue
            scripts += 1
            # What a name of a branch or a tag says would be run by the shell.
            if "${{" in script:
                wrong.append(f"{file}: {name}: a script has an expression; pass it as a variable")
            check = ["shellcheck", "--shell=bash", "--severity=style", "-"]
            found = subprocess.run(check, input=script, capture_output=True, text=True)
            if found.returncode:
                wrong.append(f"{file}: {name}:\n{found.stdout}")
print("\n".join(wrong) or f"{actions} actions are pinned, {scripts} scripts accepted")
sys.exit(bool(wrong) or not actions or not scripts)
