"""Tells what a release is made of, as SPDX 2.3 in JSON, on standard output.

usage: sbom.py VERSION FOLDER
  FOLDER has the tarball of the source and the Debian packages, and SOURCE_DATE_EPOCH the time of it.

What the packages link against is what they depend on, in the versions that are installed here.
Libfuse is linked in statically where the system has none that is new enough: then it is a part of
the package quiverfs, with the diffs of subprojects/packagefiles.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_KNOWN = "NOASSERTION"
OUR_LICENSE = "MIT"
FUSE_LICENSE = "LGPL-2.1-only"


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def element(name, version, **more):
    return {"name": name, "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name),
            "versionInfo": version, "downloadLocation": NOT_KNOWN, "filesAnalyzed": False,
            "licenseConcluded": NOT_KNOWN, "licenseDeclared": NOT_KNOWN, "copyrightText": NOT_KNOWN,
            **more}


def of_debian(source, name, version, architecture):
    """How a Debian package is named everywhere, a "purl"."""
    url = f"pkg:deb/{source}/{name}"
    if version != NOT_KNOWN:
        url += f"@{urllib.parse.quote(version, safe=':~.')}?arch={architecture}"
    return of_url(url)


def of_url(url):
    return {"externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": url}]}


def of_file(path, license_name):
    return {"packageFileName": path.name, "licenseDeclared": license_name,
            "checksums": [{"algorithm": "SHA256", "checksumValue": sha256(path)}]}


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], check=True, capture_output=True,
                          text=True).stdout.strip()


def needed(package):
    """The names of the Debian packages that it depends on or recommends, without alternatives."""
    words = f"{field(package, 'Depends')}, {field(package, 'Recommends')}".split(",")
    return sorted({re.split(r"[ (:|]", word.strip())[0] for word in words if word.strip()})


def installed(name):
    """The version and architecture of a Debian package here, or None."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version} ${Architecture}\n", name],
                          check=False, capture_output=True, text=True)
    words = done.stdout.split("\n")[0].split()
    return words if done.returncode == 0 and len(words) == 2 else None


def debian(name):
    found = installed(name)
    version, architecture = found or (NOT_KNOWN, None)
    return element(name, version, **of_debian("debian", name, version, architecture))


def libfuse():
    """What is linked in statically, or None where the system's libfuse is used."""
    newer = subprocess.run(["pkg-config", "--atleast-version=3.19", "fuse3"], check=False,
                           stderr=subprocess.DEVNULL)
    wrap = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "subprojects/fuse3.wrap").read_text(), re.M))
    if newer.returncode == 0:
        return None
    version = wrap["directory"].removeprefix("fuse-")
    return element("libfuse", version, licenseDeclared=FUSE_LICENSE, downloadLocation=wrap["source_url"],
                   checksums=[{"algorithm": "SHA256", "checksumValue": wrap["source_hash"]}],
                   comment="Linked in statically, with these changes: " + wrap["diff_files"],
                   **of_url(f"pkg:github/libfuse/libfuse@fuse-{version}"))


def document(version, folder):
    source = folder / f"quiverfs-{version}.tar.gz"
    packages = sorted(path for path in folder.glob("*.deb") if "-dbgsym_" not in path.name)
    ours = {field(path, "Package") for path in packages}
    elements = {"source": element(source.name, version, **of_file(source, OUR_LICENSE))}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", elements["source"])]
    for path in packages:
        name = field(path, "Package")
        elements[name] = element(name, field(path, "Version"), **of_file(path, OUR_LICENSE),
                                 **of_debian("quiverfs", name, field(path, "Version"),
                                             field(path, "Architecture")))
        relations += [("SPDXRef-DOCUMENT", "DESCRIBES", elements[name]),
                      (elements[name]["SPDXID"], "GENERATED_FROM", elements["source"])]
    for path in packages:
        for other in needed(path):
            if other not in ours:
                elements.setdefault(other, debian(other))
            relations.append((elements[field(path, "Package")]["SPDXID"], "DEPENDS_ON", elements[other]))
    fuse = libfuse()
    if fuse and "quiverfs" in ours:
        elements["libfuse"] = fuse
        relations.append((elements["quiverfs"]["SPDXID"], "STATIC_LINK", fuse))
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"])))
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"quiverfs-{version}",
        "documentNamespace": f"urn:quiverfs:{version}:{sha256(source)}",
        "creationInfo": {"created": created, "creators": ["Tool: quiverfs tools/lib/sbom.py"]},
        "packages": list(elements.values()),
        "relationships": [{"spdxElementId": one, "relationshipType": kind,
                           "relatedSpdxElement": other["SPDXID"]} for one, kind, other in relations],
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    json.dump(document(sys.argv[1], Path(sys.argv[2])), sys.stdout, indent=1)
    print()
