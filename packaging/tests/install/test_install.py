"""`make install`, programs outside of the tree built with what it has installed, and `make uninstall`."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import sys
from typing import Iterator

import pytest
from tree import LIBRARIES, MULTIARCH, PROGRAMS, REPOSITORY, Tree, is_a_daemons_program, needed, run

BOTH = [(name, language) for name in ("own", "classic", "mixed") for language in ("c", "cc")]
# By the folder that a distribution has them in, by the default one, and by one that is nowhere near the headers.
PLACES = {
    "staged": ("/usr", f"/usr/lib/{MULTIARCH}"),
    "default": ("/usr/local", "/usr/local/lib"),
    "odd": ("/opt/x", "/opt/x/a/b/c"),
}


OURS = {"libdaemonctx.so.0", "libdaemon.so.0"}


def places(lib: pathlib.Path) -> list[str]:
    """Where CMake finds both packages, by name."""
    return [f"-D{package}_DIR={lib / 'cmake' / package}" for package in ("daemonctx", "libdaemon")]


def cmake() -> str:
    found = shutil.which("cmake") or str(pathlib.Path(sys.executable).parent / "cmake")
    assert pathlib.Path(found).exists(), "no cmake"
    return found


@pytest.fixture(scope="session", params=PLACES)
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    prefix, libdir = PLACES[request.param]
    made = Tree(tmp_path_factory.mktemp(request.param), prefix, libdir)
    made.make("install")
    yield made


def test_what_is_there(tree: Tree) -> None:
    lib = os.path.relpath(tree.libdir, tree.prefix)
    files = tree.files()
    for name in ("libdaemon.so.0.6.0", "libdaemon.so.0", "libdaemon.so", "libdaemon.a", "pkgconfig/libdaemon.pc",
                 "cmake/libdaemon/libdaemon-config.cmake", "cmake/libdaemon/libdaemon-config-version.cmake",
                 "libdaemonctx.so.0.1.0", "libdaemonctx.so.0", "libdaemonctx.so", "libdaemonctx.a", "pkgconfig/daemonctx.pc",
                 "cmake/daemonctx/daemonctx-config.cmake", "cmake/daemonctx/daemonctx-config-version.cmake"):
        assert f"{lib}/{name}" in files
    for name in ("bin/daemonctx", "libexec/daemonctx/daemonctx-monitor", "include/daemonctx.h", "include/libdaemon/daemon.h", "share/man/man1/daemonctx.1",
                 "share/man/man3/daemonctx_free.3", "share/man/man7/daemonctx.7", "share/doc/daemonctx/README.md",
                 "share/bash-completion/completions/daemonctx", "share/zsh/site-functions/_daemonctx",
                 "share/fish/vendor_completions.d/daemonctx.fish"):
        assert name in files
    # Nothing is empty, no link leads nowhere, all can be read by anybody, and only what is run can be.
    for name in files:
        path = tree.path(tree.prefix) / name
        found = path.stat()
        assert found.st_size > 0, name
        assert found.st_mode & 0o777 == (0o755 if name.startswith(("bin/", "libexec/")) else 0o644), name


FILES = {"libdaemonctx": "0.1.0", "libdaemon": "0.6.0"}


@pytest.mark.parametrize(("name", "version"), FILES.items())
def test_library(tree: Tree, name: str, version: str) -> None:
    links = {suffix: os.readlink(tree.lib / f"{name}{suffix}") for suffix in (".so.0", ".so")}
    assert links == {".so.0": f"{name}.so.{version}", ".so": f"{name}.so.0"}
    # Who packages strips: until then there are the names that a debugger wants.
    assert ".symtab" in run("readelf", "-SW", tree.lib / f"{name}.so.{version}")


@pytest.mark.parametrize("name", FILES)
def test_static_library_defines_no_more_than_the_shared_one(tree: Tree, name: str) -> None:
    shared = run("nm", "-D", "--defined-only", tree.lib / f"{name}.so")
    archive = run("nm", "-g", "--defined-only", tree.lib / f"{name}.a")
    names = [{words[2].split("@")[0] for words in map(str.split, text.splitlines()) if len(words) == 3 and words[1] != "A"}
             for text in (shared, archive)]
    assert names[0] == names[1] and len(names[0]) > 30
    assert "_Unwind" not in run("nm", "-u", tree.lib / f"{name}.a")


@pytest.mark.parametrize(("name", "package"), [("libdaemonctx", "libdaemonctx0"), ("libdaemon", "libdaemon0-daemonctx")])
def test_debians_list_of_symbols_is_what_the_library_exports(tree: Tree, name: str, package: str) -> None:
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", tree.lib / f"{name}.so").splitlines()}
    listed = re.findall(r"^ (\S+) 0\.1\.0", (REPOSITORY / f"packaging/debian/{package}.symbols").read_text(), re.MULTILINE)
    # As nm has it: the default version with two signs, the version itself and what has no version with none.
    assert exported == {symbol.removesuffix("@Base").replace("@", "@@").removeprefix("DAEMONCTX_0.1@@") for symbol in listed}


@pytest.fixture(scope="session")
def native_static_libraries(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What rustc wants programs to be linked with. cargo asks it again where the file has another name."""
    said = tmp_path_factory.mktemp("rustc") / "native-static-libs"
    run(os.environ.get("CARGO", "cargo"), "rustc", "--quiet", "--release", "-p", "daemonctx-ffi", "--crate-type", "staticlib",
        "--target-dir", REPOSITORY / "target/native-static-libs", "--", f"--print=native-static-libs={said}")
    return set(said.read_text().split())


@pytest.mark.parametrize("package", ["daemonctx", "libdaemon"])
def test_private_libraries_are_what_rustc_says(tree: Tree, package: str, native_static_libraries: set[str]) -> None:
    found = re.search(r"^Libs.private: (.*)$", (tree.lib / f"pkgconfig/{package}.pc").read_text(), re.MULTILINE)
    assert found and set(found[1].split()) == native_static_libraries - {"-lc", "-lgcc_s", "-lgcc_eh"} != set()


def test_command(tree: Tree) -> None:
    assert run(tree.path(tree.prefix) / "bin/daemonctx", "--version") == run(REPOSITORY / "target/release/daemonctx", "--version")
    version = run("pkg-config", "--modversion", "daemonctx", PKG_CONFIG_LIBDIR=str(tree.lib / "pkgconfig"))
    assert run(tree.path(tree.prefix) / "bin/daemonctx", "--version").split() == ["daemonctx", version.strip()]


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_pkg_config(tree: Tree, name: str, language: str, tmp_path: pathlib.Path) -> None:
    program = tree.compiled(name, language, tmp_path)
    assert OURS & needed(program) == LIBRARIES[name]
    is_a_daemons_program(program)


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_pkg_config_static(tree: Tree, name: str, language: str, tmp_path: pathlib.Path) -> None:
    program = tree.compiled(name, language, tmp_path, "-archive")
    assert not OURS & needed(program)
    if language == "c":
        assert needed(program) <= {"libc.so.6", "ld-linux-x86-64.so.2"}, "it needs nothing but the C library"
    is_a_daemons_program(program)
    # The linker warns of getpwnam_r(3), which wants the running system's C library.
    program = tree.compiled(name, language, tmp_path, "-static")
    assert needed(program) == set()
    is_a_daemons_program(program)


def test_cmake(tree: Tree, tmp_path: pathlib.Path) -> None:
    run(cmake(), "-S", PROGRAMS, "-B", tmp_path, *places(tree.lib), "-DCMAKE_BUILD_TYPE=Release")
    run(cmake(), "--build", tmp_path)
    for name, language in BOTH:
        assert OURS & needed(tmp_path / f"{name}-{language}") == LIBRARIES[name]
        assert not OURS & needed(tmp_path / f"{name}-{language}-static")
        is_a_daemons_program(tmp_path / f"{name}-{language}")
        is_a_daemons_program(tmp_path / f"{name}-{language}-static")


# Where the folder of libraries is one that CMake looks into; the odd one has to be named.
@pytest.mark.parametrize("tree", sorted(PLACES.keys() - {"odd"}), indirect=True)
def test_cmake_finds_it_by_its_prefix(tree: Tree, tmp_path: pathlib.Path) -> None:
    """And a newer interface is not there."""
    prefix = f"-DCMAKE_PREFIX_PATH={tree.path(tree.prefix)}"
    run(cmake(), "-S", PROGRAMS, "-B", tmp_path / "found", prefix)
    for package, newer, there in (("libdaemon", "0.15", "0.14"), ("daemonctx", "0.2", "0.1.0")):
        folder = tmp_path / f"newer-{package}"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.13)\nproject(newer C)\nfind_package({package} {newer} REQUIRED)\n")
        with pytest.raises(AssertionError, match=f"version: {there}"):
            run(cmake(), "-S", folder, "-B", folder / "build", prefix)


def test_moved(tree: Tree, tmp_path: pathlib.Path) -> None:
    """The whole tree elsewhere: CMake and pkg-config with another prefix still find it."""
    shutil.copytree(tree.path(tree.prefix), tmp_path / "moved", symlinks=True)
    lib = tmp_path / "moved" / os.path.relpath(tree.libdir, tree.prefix)
    run(cmake(), "-S", PROGRAMS, "-B", tmp_path / "build", *places(lib))
    run(cmake(), "--build", tmp_path / "build", "--target", "own-c")
    assert str(lib) in run("readelf", "-d", tmp_path / "build/own-c")


def test_without_destdir(tmp_path: pathlib.Path) -> None:
    """Into the place itself, as `make install PREFIX=~/.local` does."""
    tree = Tree(None, str(tmp_path / "home"), str(tmp_path / "home/lib"))
    tree.make("install")
    is_a_daemons_program(tree.compiled("own", "c", tmp_path))
    tree.make("uninstall")
    assert tree.files() == set()


def test_uninstall(tmp_path: pathlib.Path) -> None:
    """Nothing is left of it, and all that is somebody else's is."""
    prefix, libdir = PLACES["staged"]
    tree = Tree(tmp_path, prefix, libdir)
    others = ["usr/include/libother.h", "usr/share/man/man3/other.3", "usr/lib/libother.so", "usr/bin/other"]
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("somebody else's")
    tree.make("install")
    # Again, over itself.
    before = tree.files()
    tree.make("install")
    assert tree.files() == before
    tree.make("uninstall")
    assert {f"usr/{name}" for name in tree.files()} == set(others)
    left = {path.name for path in tmp_path.rglob("*") if path.is_dir()}
    assert "libdaemon" not in left and "daemonctx" not in left
    tree.make("uninstall")


def test_as_packagers_call_it(tmp_path: pathlib.Path) -> None:
    """By GNU's lower-case prefix."""
    run("make", "--no-print-directory", "install-library", "prefix=/usr", f"DESTDIR={tmp_path}", cwd=REPOSITORY)
    assert all((tmp_path / "usr/lib" / name).exists() for name in OURS)
