"""Lock files in the forms that their tools write, and what is said of what they do not pin."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import RecordError
from lemnis.scan import sbom, sbom_locks

FILES = {
    "app/requirements.txt": (
        ("# pinned\nDjango==4.2.1 \\\n    --hash=sha256:00\nrequests[socks] >= 2.0\n-r base.txt\n--index-url https://x\n"
        "pyyaml===5.1 ; python_version < '3.9'  # old\n-e git+https://h/x.git#egg=my_tool\nlocal @ file:///x\n./path\n"),
        {"django@4.2.1": 2, "requests": 4, "pyyaml@5.1": 7, "my-tool": 8, "local": 9},
    ),
    "poetry.lock": (
        ('[[package]]\nname = "Flask"\nversion = "0.12"\ncategory = "main"\n\n[package.dependencies]\nJinja2 = ">=2"\n\n'
        '[[package]]\nname = "jinja2"\nversion = "2.10"\ncategory = "dev"\n\n[metadata]\nlock-version = "2.0"\n'),
        {"flask@0.12": 2, "jinja2@2.10": 10},
    ),
    "uv.lock": (
        ('version = 1\n\n[[package]]\nname = "own"\nsource = { editable = "." }\n\n[[package]]\nname = "urllib3"\n'
        'version = "1.24.1"\nsource = { registry = "https://packages.example/simple" }\ndependencies = [{ name = "idna" }]\n'),
        {"urllib3@1.24.1": 8},
    ),
    "Pipfile.lock": (
        ('{\n  "default": {\n    "pillow": {\n      "version": "==8.0.0"\n    }\n  },\n  "develop": {\n'
        '    "pytest": {\n      "version": "==6.0"\n    }\n  }\n}\n'),
        {"pillow@8.0.0": 3, "pytest@6.0": 8},
    ),
    "package-lock.json": (
        ('{\n"name": "web", "lockfileVersion": 3,\n"packages": {\n"": {"dependencies": {"a": "1", "@s/b": "1"}},\n'
        '"node_modules/a": {"version": "1.0.0", "dependencies": {"c": "1"}},\n'
        '"node_modules/@s/b": {"version": "2.0.0", "dev": true},\n'
        '"node_modules/c": {"version": "1.0.0"},\n"node_modules/a/node_modules/c": {"version": "0.9.0"},\n'
        '"node_modules/own": {"link": true, "resolved": "packages/own"}\n}}\n'),
        {"a@1.0.0": 5, "@s/b@2.0.0": 6, "c@1.0.0": 7, "c@0.9.0": 8},
    ),
    "web/yarn.lock": (
        ('# yarn lockfile v1\n\n"@s/b@^1.0.0", "@s/b@^1.1.0":\n  version "1.1.0"\n  dependencies:\n    lodash "^4.0.0"\n\n'
        'lodash@^4.0.0:\n  version "4.17.4"\n'),
        {"@s/b@1.1.0": 3, "lodash@4.17.4": 8},
    ),
    "berry/yarn.lock": (
        ('__metadata:\n  version: 8\n\n"lodash@npm:^4.0.0":\n  version: 4.17.4\n  resolution: "lodash@npm:4.17.4"\n\n'
        '"own@workspace:.":\n  version: 0.0.0-use.local\n'),
        {"lodash@4.17.4": 4},
    ),
    "pnpm-lock.yaml": (
        ("lockfileVersion: '6.0'\npackages:\n\n  /@s/b@1.0.0(react@18.0.0):\n    dev: true\n\n  /lodash/4.17.4:\n    dev: false\n"
        "\n  'minimist@1.2.0':\n    resolution: {integrity: x}\n"),
        {"@s/b@1.0.0": 4, "lodash@4.17.4": 7, "minimist@1.2.0": 10},
    ),
    "go.mod": (
        ("module example.com/app\n\ngo 1.21\n\nrequire github.com/pkg/errors v0.9.1\n\nrequire (\n"
        "\tgolang.org/x/text v0.3.0 // indirect\n\tgithub.com/a/b v1.0.0\n\tgithub.com/c/d v1.0.0\n)\n\n"
        "replace github.com/a/b => github.com/fork/b v1.0.1\nreplace github.com/c/d v1.0.0 => ../d\n"),
        {"github.com/pkg/errors@v0.9.1": 5, "golang.org/x/text@v0.3.0": 8, "github.com/fork/b@v1.0.1": 13, "github.com/c/d": 14},
    ),
    "go.sum": (
        "golang.org/x/text v0.3.0 h1:x=\ngolang.org/x/text v0.3.0/go.mod h1:y=\ngolang.org/x/old v0.1.0/go.mod h1:z=\n",
        {"golang.org/x/text@v0.3.0": 1},
    ),
    "Cargo.lock": (
        ('version = 3\n\n[[package]]\nname = "app"\nversion = "0.1.0"\ndependencies = ["time"]\n\n[[package]]\nname = "time"\n'
        'version = "0.1.40"\nsource = "registry+https://crates.example/index"\n'),
        {"time@0.1.40": 9},
    ),
    "Gemfile.lock": (
        ("GIT\n  remote: x\n  specs:\n    own (0.1)\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    rails (5.0.0)\n"
        "      nokogiri (>= 1.6)\n    nokogiri (1.10.0-x86_64-linux)\n\nPLATFORMS\n  ruby\n"),
        {"rails@5.0.0": 9, "nokogiri@1.10.0": 11},
    ),
    "composer.lock": (
        ('{\n"packages": [\n{"name": "symfony/http", "version": "v4.0.0", "require": {"php": ">=7"}}\n],\n"packages-dev": [\n'
        '{"name": "phpunit/phpunit", "version": "9.0"}\n]\n}\n'),
        {"symfony/http@v4.0.0": 3, "phpunit/phpunit@9.0": 6},
    ),
    "pom.xml": (
        ('<project xmlns="http://maven.apache.org/POM/4.0.0"><groupId>g</groupId><artifactId>app</artifactId>\n'
        "<version>1</version><properties><log4j.version>2.14.1</log4j.version><loop>${loop}</loop></properties>\n"
        "<dependencyManagement><dependencies><dependency><groupId>m</groupId><artifactId>managed</artifactId>"
        "<version>3</version></dependency></dependencies></dependencyManagement>\n<dependencies>\n"
        "<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>"
        "<version>${log4j.version}</version></dependency>\n"
        "<dependency><groupId>m</groupId><artifactId>managed</artifactId></dependency>\n"
        "<dependency><groupId>m</groupId><artifactId>looped</artifactId><version>${loop}</version></dependency>\n"
        "<dependency><groupId>m</groupId><artifactId>parents</artifactId><scope>test</scope></dependency>\n"
        "</dependencies></project>"),
        {"org.apache.logging.log4j:log4j-core@2.14.1": 5, "m:managed@3": 6, "m:looped": 7, "m:parents": 8},
    ),
    "gradle.lockfile": (
        ("# by Gradle\ncom.fasterxml:jackson:2.9.0=compileClasspath,runtimeClasspath\njunit:junit:4.12=testCompileClasspath\n"
        "empty=annotationProcessor\n"),
        {"com.fasterxml:jackson@2.9.0": 2, "junit:junit@4.12": 3},
    ),
    "packages.lock.json": (
        ('{\n"version": 1,\n"dependencies": {\n"net6.0": {\n"Newtonsoft.Json": {\n"type": "Direct", "resolved": "12.0.1"},\n'
        '"Own": {\n"type": "Project"}\n}}}\n'),
        {"Newtonsoft.Json@12.0.1": 5},
    ),
}  # fmt: skip


def shown(one):
    return f"{one.name}@{one.version}" if one.version else one.name


@pytest.mark.parametrize("path", FILES)
def test_what_is_locked_and_on_which_line(path):
    text, expected = FILES[path]
    read = sbom_locks.read(text.encode(), path)
    assert {shown(one): one.line for one in read.components} == expected
    assert {one.path for one in read.components} == {path}
    assert all(sbom.purl(one.purl) is not None for one in read.components)


def test_the_way_from_the_project_to_a_package_within_another():
    read = sbom_locks.read(FILES["package-lock.json"][0].encode(), "package-lock.json")
    chains = sbom.chains(read)
    assert chains["node_modules/a/node_modules/c"] == ("", "node_modules/a", "node_modules/a/node_modules/c")
    assert "node_modules/c" not in chains


def test_development_packages_are_told():
    read = sbom_locks.read(FILES["Pipfile.lock"][0].encode(), "Pipfile.lock")
    assert {one.name: one.scope for one in read.components} == {"pillow": "runtime", "pytest": "dev"}


def test_a_package_without_a_name_is_told_and_those_beside_it_are_kept():
    read = sbom_locks.read(
        b'[[package]]\nversion = "1"\nsource = "registry+x"\n'
        b'[[package]]\nname = "serde"\nversion = "1.0.0"\nsource = "registry+x"\n',
        "Cargo.lock",
    )
    assert [(one.name, one.line) for one in read.components] == [("serde", 5)]
    assert [str(one) for one in read.errors] == ["Cargo.lock:2: a package without a name"]


def test_an_included_file_that_nobody_looks_at_is_said():
    read = sbom_locks.read(FILES["app/requirements.txt"][0].encode(), "app/requirements.txt")
    assert [str(one) for one in read.errors] == [
        "app/requirements.txt:5: includes base.txt, which is not looked at by its name"
    ]
    assert not sbom_locks.read(
        b"-r requirements/base.txt\n-r requirements-dev.txt\n", "requirements.txt"
    ).errors


@pytest.mark.parametrize(
    ("path", "text", "where"),
    [
        ("poetry.lock", "[[package]]\nname = \n", "poetry.lock:2:8"),
        ("package-lock.json", "{\n  bad\n}", "package-lock.json:2:"),
        ("pom.xml", "<project>\n<", "pom.xml:2:"),
        ("pnpm-lock.yaml", "a: [\n", "pnpm-lock.yaml:"),
        ("pom.xml", '<!DOCTYPE p [<!ENTITY a "aa">]>\n<project>&a;</project>', "pom.xml: declares entities"),
        ("pom.xml", "<a>" * 300, "elements too deep"),
        ("Cargo.toml", "", "no lock file that is known"),
    ],
)
def test_what_is_not_of_its_format_is_refused_with_its_place(path, text, where):
    with pytest.raises(RecordError) as caught:
        sbom_locks.read(text.encode(), path)
    assert where in str(caught.value)


@pytest.mark.parametrize("path", sorted(FILES))
@given(data=st.data())
def test_hostile_bytes_never_crash(path, data):
    text = FILES[path][0]
    at = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(max_size=20))
    found, refused = None, None
    try:
        found = sbom_locks.read((text[:at] + junk + text[at + len(junk) :]).encode("utf-8", "replace"), path)
    except RecordError as error:
        refused = error
    if found is None:
        assert refused is not None
        assert refused.at is not None
    else:
        assert all(isinstance(one.name, str) and one.name for one in found.components)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("yarn.lock", '"' + "@a:" * 200_000),
        ("requirements.txt", "#" * 200_000 + "\nx " + "#" * 200_000),
        ("requirements.txt", "a" + "[" * 100_000),
        ("go.mod", "require " + "v" * 200_000 + " v " * 1000),
        ("Gemfile.lock", "GEM\n    " + "(" * 200_000),
        ("gradle.lockfile", "a:" * 100_000),
        ("pom.xml", "<project><properties><a>" + "${b}" * 50_000 + "</a><b>" + "${a}" * 50_000 + "</b></properties>"
         "<dependencies><dependency><groupId>g</groupId><artifactId>x</artifactId><version>${a}</version></dependency>"
         "</dependencies></project>"),
    ],
)  # fmt: skip
def test_text_that_is_made_to_take_long_does_not(path, text):
    began = time.process_time()
    sbom_locks.read(text.encode(), path)
    assert time.process_time() - began < 2
