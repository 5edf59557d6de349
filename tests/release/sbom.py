"""Checks that an SBOM is valid CycloneDX, and names exactly the crates that cargo builds the program from.

    sbom.py SBOM CRATES
"""

import json
import os
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1]).read()
sbom = json.loads(text)
fault = JsonStrictValidator(SchemaVersion.from_version(sbom["specVersion"])).validate_str(text)
if fault:
    sys.exit(f"not valid: {fault}")
program = sbom["metadata"]["component"]["name"]
named = {(crate["name"], crate["version"]) for crate in sbom["components"]}
built = {tuple(line.split(" v", 1)) for line in open(sys.argv[2]).read().splitlines() if line}
built = {(name, version.split(" ")[0]) for name, version in built if name != program}
print(f"CycloneDX {sbom['specVersion']}: {program}, {len(named)} crates, {len(built - named)} missing")
if program != "testmo-courier" or built - named or len(built) < 100:
    sys.exit(f"missing: {sorted(built - named)}")
unlicensed = [crate["name"] for crate in sbom["components"] if not crate.get("licenses")]
if unlicensed or os.getcwd() in text:
    sys.exit(f"without a licence: {unlicensed}; or it names the folder in which it was made")
