"""Compare a wheel and a source distribution with the files that git tracks.

    python .ci/contents.py DIST

The folder DIST holds one of each. The source distribution must contain every tracked file and the wheel every tracked
file of the package, and neither may contain anything else. Links in the description must not be relative: a package
index shows it without the repository.
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
RELATIVE_LINK = re.compile(r'(?:\]\(|(?:src|srcset|href)=")(?![a-z]+:|#)[^)"\s]*')


def tracked_files() -> set[str]:
    """Return the path of every file that git tracks."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # a container may run as another user than the owner
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(names.split("\0")) - {""}


def differences(archive: Path, names: set[str], expected: set[str]) -> list[str]:
    """Return one line for each file that *archive* lacks or should not contain."""
    return [
        *(f"{archive.name} lacks {name}" for name in sorted(expected - names)),
        *(f"{archive.name} should not contain {name}" for name in sorted(names - expected)),
    ]


def check_wheel(path: Path, tracked: set[str]) -> list[str]:
    """Return the problems of the wheel at *path*."""
    with zipfile.ZipFile(path) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        description = str(BytesParser().parsebytes(wheel.read(metadata)).get_payload())
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    relative = [
        f"{path.name}: relative link {link!r} in the description" for link in RELATIVE_LINK.findall(description)
    ]
    return differences(path, names, {name for name in tracked if name.startswith("veo_async/")}) + relative


def check_sdist(path: Path, tracked: set[str]) -> list[str]:
    """Return the problems of the source distribution at *path*."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    return differences(path, names - {"PKG-INFO"}, tracked)


def main(dist: Path) -> None:
    """Print all problems of the two archives in *dist*, and exit with 1 if there are any."""
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    tracked = tracked_files()
    problems = check_wheel(wheel, tracked) + check_sdist(sdist, tracked)
    print("\n".join(problems) or f"{wheel.name} and {sdist.name} contain what git tracks")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
