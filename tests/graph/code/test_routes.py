"""Routes of small services in every framework: prefixes, handlers in other files, what serves a request."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.graph.code.routes import match, read

FLASK = {
    "shop/app.py": """
from flask import Flask
from shop.api import bp
app = Flask(__name__)
app.register_blueprint(bp, url_prefix="/api/v1")
@app.route("/hello/<name>")
def hello(name):
    return name
app.add_url_rule("/views", view_func=Things.as_view("things"))
class Things(MethodView):
    def get(self):
        return 1
    def post(self):
        return 2
""",
    "shop/api.py": """
from flask import Blueprint
bp = Blueprint("api", __name__, url_prefix="/old")
@bp.route("/items/<int:id>", methods=["GET", "POST"])
def item(id):
    return id
@bp.get("/items/new")
def new():
    return 0
""",
}
FASTAPI = {
    "fa/main.py": """
from fastapi import FastAPI
from .routers import items
from starlette.routing import Mount, Route
app = FastAPI()
app.include_router(items.router, prefix="/api")
app.include_router(items.router, prefix=PREFIX + "/v2")
routes = [Mount("/in", routes=[Route("/side", side)])]
def side(request):
    return 1
""",
    "fa/routers/__init__.py": "",
    "fa/routers/items.py": """
from fastapi import APIRouter
router = APIRouter(prefix="/items")
@router.get("/{item_id}")
async def read_item(item_id: int):
    return item_id
""",
}
DJANGO = {
    "dj/urls.py": """
from django.urls import path, include, re_path
from . import views
urlpatterns = [
    path("", views.index),
    path("blog/", include("dj.blog.urls")),
    re_path(r"^year/(?P<y>[0-9]{4})/$", views.Year.as_view()),
    re_path(r"^old", views.old),
]
""",
    "dj/views.py": "def index(r):\n    pass\nclass Year:\n    def get(self, r): pass\ndef old(r): pass\n",
    "dj/blog/urls.py": "from django.urls import path\nfrom .views import post\nurlpatterns = [path('<int:pk>/', post)]\n",
    "dj/blog/views.py": "\n\ndef post(r, pk):\n    pass\n",
}
AIOHTTP = {
    "m.py": """
from aiohttp import web
async def h(r): pass
app = web.Application()
sub = web.Application()
app.router.add_get("/a/{x:[0-9]+}", h)
app.add_routes([web.post("/p", h)])
sub.router.add_route("*", "/any", h)
app.add_subapp("/sub", sub)
"""
}
EXPRESS = {
    "web/index.js": """const express = require('express');
const users = require('./users');
const app = express();
app.use('/api', auth, users);
app.get('/health', (req, res) => res.send('ok')); // app.get('/not', x)
app.route('/book').get(list).post(function add(req, res) { return 1 });
axios.get('/elsewhere', options);
function list(req, res) {
}
""",
    "web/users.js": """const { Router } = require('express');
const ctl = require('./ctl');
const router = Router();
router.get('/users/:id?', ctl.show);
router.post('/users', wrap(async (req, res) => {
  x
}));
module.exports = router;
""",
    "web/ctl.js": "exports.show = async (req, res) => {\n  res.send(`/${x}`)\n};\n",
}
FASTIFY = {
    "f/server.js": """import Fastify from 'fastify'
import orders from './orders.js'
const fastify = Fastify()
fastify.register(orders, { prefix: '/orders' })
fastify.route({ method: ['GET', 'PUT'], url: '/x/:id', handler: async (req) => { return 1 } })
""",
    "f/orders.js": """export default async function orders(fastify, opts) {
  fastify.get('/:id', { schema }, async (request, reply) => {
     return 1
  })
}
""",
}
NEST = {
    "n/cats.controller.ts": """import { Controller, Get, Post, Param } from '@nestjs/common';
@Controller('cats')
export class CatsController {
  constructor(private readonly s: S) {}
  @Get(':id')
  @UseGuards(AuthGuard('jwt'))
  async findOne(@Param('id') id: string): Promise<Cat> {
    return 1;
  }
  @Post()
  create(@Body() dto: Dto) { return 2; }
}
""",
    "n/main.ts": "import { NestFactory } from '@nestjs/core';\nconst app = await NestFactory.create(M);\napp.setGlobalPrefix('api');\n",
}
SPRING = {
    "j/A.java": """package a;
@RestController
@RequestMapping("/api/users")
public class UserController {
  private static final String X = "/x";
  @GetMapping("/{id:\\\\d+}")
  public User get(@PathVariable("id") long id) throws IOException { return null; }
  @RequestMapping(value = X + "/all", method = {RequestMethod.GET, RequestMethod.POST})
  User all() {
    return null;
  }
}
"""
}
JAXRS = {
    "j/R.java": """
@Path("/things")
public class R {
  @GET @Path("{id}") @Produces("x")
  public Response one(@PathParam("id") String id) { return null; }
}
@ApplicationPath("/rest") public class App extends Application {}
"""
}
NETHTTP = {
    "g/main.go": """package main
import (
  "net/http"
)
func main() {
  mux := http.NewServeMux()
  mux.HandleFunc("GET /items/{id}", item)
  mux.Handle("/static/", http.FileServer(x))
  http.HandleFunc("/inline", func(w http.ResponseWriter, r *http.Request) {
    return
  })
}
""",
    "g/item.go": "package main\nfunc item(w http.ResponseWriter, r *http.Request) {\n}\n",
}
GIN = {
    "g/main.go": """package main
import "github.com/gin-gonic/gin"
func main() {
  r := gin.Default()
  api := r.Group("/api")
  { api.GET("/u/:id", auth(), getUser) }
  users(api.Group("/users"))
}
func users(rg *gin.RouterGroup) { rg.POST("/new", h.create) }
func getUser(c *gin.Context) {
}
"""
}
CHI = {
    "g/main.go": """package main
import "github.com/go-chi/chi/v5"
func main() {
  r := chi.NewRouter()
  r.Route("/articles", func(r chi.Router) {
    r.With(paginate).Get("/", list)
    r.Route("/{id:[0-9]+}", func(r chi.Router) {
      r.Get("/", get)
    })
  })
  r.Mount("/admin", adminRouter())
}
func adminRouter() http.Handler {
  r := chi.NewRouter()
  r.Get("/x", get)
  return r
}
func get(w http.ResponseWriter, r *http.Request) {
}
"""
}
ECHO = {
    "g/main.go": """package main
import "github.com/labstack/echo/v4"
func main() {
  e := echo.New()
  g := e.Group("/admin", mw)
  g.GET("/users/:id", show, mw2)
}
func show(c echo.Context) error {
}
"""
}


def tree(sources):
    return [(path, text.encode()) for path, text in sources.items()]


@pytest.mark.parametrize(
    ("sources", "method", "path", "handler", "place"),
    [
        (FLASK, "GET", "/hello/anna", "hello", "shop/app.py:7"),
        (FLASK, "POST", "/api/v1/items/7?x=1", "item", "shop/api.py:5"),
        (FLASK, "GET", "/api/v1/items/new", "new", "shop/api.py:8"),
        (FLASK, "POST", "/views", "Things.post", "shop/app.py:13"),
        (FASTAPI, "GET", "/api/items/7", "read_item", "fa/routers/items.py:5"),
        (FASTAPI, "GET", "/in/side", "side", "fa/main.py:9"),
        (DJANGO, "GET", "/", "views.index", "dj/views.py:1"),
        (DJANGO, "GET", "/blog/12/", "post", "dj/blog/views.py:3"),
        (DJANGO, "GET", "/year/2026/", "views.Year", "dj/views.py:3"),
        (DJANGO, "GET", "/old/and/more", "views.old", "dj/views.py:5"),
        (AIOHTTP, "GET", "/a/12", "h", "m.py:3"),
        (AIOHTTP, "PUT", "/sub/any", "h", "m.py:3"),
        (EXPRESS, "GET", "/health", "(inline)", "web/index.js:5"),
        (EXPRESS, "GET", "/book", "list", "web/index.js:8"),
        (EXPRESS, "POST", "/book", "(inline)", "web/index.js:6"),
        (EXPRESS, "GET", "/api/users/7", "ctl.show", "web/ctl.js:1"),
        (EXPRESS, "GET", "/api/users", "ctl.show", "web/ctl.js:1"),
        (EXPRESS, "POST", "/api/users", "(inline)", "web/users.js:5"),
        (FASTIFY, "PUT", "/x/1", "handler", "f/server.js:5"),
        (FASTIFY, "GET", "/orders/9", "(inline)", "f/orders.js:2"),
        (NEST, "GET", "/api/cats/3", "CatsController.findOne", "n/cats.controller.ts:7"),
        (NEST, "POST", "/api/cats", "CatsController.create", "n/cats.controller.ts:11"),
        (SPRING, "GET", "/api/users/12", "UserController.get", "j/A.java:7"),
        (SPRING, "POST", "/api/users/x/all", "UserController.all", "j/A.java:9"),
        (JAXRS, "GET", "/rest/things/a", "R.one", "j/R.java:5"),
        (NETHTTP, "GET", "/items/4", "item", "g/item.go:2"),
        (NETHTTP, "GET", "/inline", "(inline)", "g/main.go:9"),
        (NETHTTP, "GET", "/static/a/b.css", "x", "g/main.go:8"),
        (GIN, "GET", "/api/u/3", "getUser", "g/main.go:10"),
        (GIN, "POST", "/api/users/new", "h.create", "g/main.go:9"),
        (CHI, "GET", "/articles", "list", "g/main.go:6"),
        (CHI, "GET", "/articles/7", "get", "g/main.go:18"),
        (CHI, "GET", "/admin/x", "get", "g/main.go:18"),
        (ECHO, "GET", "/admin/users/5", "show", "g/main.go:8"),
    ],
)
def test_the_handler_of_a_request(sources, method, path, handler, place):
    found = read(tree(sources))
    assert not found.skipped
    told = match(found.all, method, path)
    one = told.best[0]
    assert (one.handler, f"{one.file}:{one.line}") == (handler, place)
    assert not told.ambiguous


@pytest.mark.parametrize(
    ("sources", "method", "path"),
    [
        (FLASK, "GET", "/api/v1/items/seven"),
        (FLASK, "GET", "/old/items/7"),
        (FLASK, "DELETE", "/api/v1/items/7"),
        (EXPRESS, "GET", "/not"),
        (EXPRESS, "GET", "/elsewhere"),
        (EXPRESS, "GET", "/users/7"),
        (SPRING, "GET", "/api/users/anna"),
        (NETHTTP, "POST", "/items/4"),
        (CHI, "GET", "/articles/seven"),
    ],
)
def test_what_no_route_answers(sources, method, path):
    assert match(read(tree(sources)).all, method, path).all == ()


def test_the_most_specific_comes_first_and_what_nothing_sets_apart_is_ambiguous():
    text = """
from flask import Flask
app = Flask(__name__)
@app.get("/a/<path:rest>")
def rest(rest): pass
@app.get("/a/<x>")
def one(x): pass
@app.get("/a/<y>")
def other(y): pass
@app.get("/a/b")
def exact(): pass
"""
    routes = read([("a.py", text.encode())]).all
    told = match(routes, "GET", "/a/b")
    assert [one.handler for one in told.all] == ["exact", "one", "other", "rest"]
    assert not told.ambiguous
    told = match(routes, "HEAD", "/a/c")
    assert {one.handler for one in told.best} == {"one", "other"}
    assert "one (a.py:7)" in told.ambiguous
    assert "other (a.py:9)" in told.ambiguous


def test_a_prefix_that_is_computed_is_anything_and_comes_last():
    routes = read(tree(FASTAPI)).all
    told = match(routes, "GET", "/beta/v2/items/7")
    assert [(one.handler, one.partial) for one in told.all] == [("read_item", True)]
    assert [one.partial for one in match(routes, "GET", "/api/items/7").all] == [False]


def test_what_cannot_be_read_is_named_and_the_rest_is():
    found = read([("a.py", b"def ("), *tree(FLASK), ("node_modules/x/i.js", b"app.get('/z', f)")])
    assert list(found.skipped) == ["a.py"]
    assert match(found.all, "GET", "/hello/x").best
    assert not match(found.all, "GET", "/z").all


def test_what_is_declared_for_tests_or_by_clients_answers_nobody():
    client = '@FeignClient("x") interface C { @GetMapping("/c") String c(); }'
    patched = 'import mock\n@mock.patch("shop.web.run")\ndef f(): pass\n'
    tests = [(f"{place}/t.py", FLASK["shop/app.py"].encode()) for place in ("tests", "src/test")]
    assert read([("C.java", client.encode()), ("m.py", patched.encode()), *tests]).all == []


def test_groups_within_each_other_end():
    text = "const a = Router(); const b = Router(); a.use('/b', b); b.use('/a', a); a.get('/x', f)"
    assert read([("a.js", text.encode())]).all


_PIECES = st.sampled_from(
    ["app", ".get", "(", ")", "'/x'", "`${", "`", "{", "}", "//", "/*", "*/", '"""', "@", "Path", "class", "A",
     "=>", "func", "r", ":=", ",", "\n", "/", "[", "]", "import", "require", "=", "const", "\\", "async", ":",
     "module.exports", "package", '"net/http"', "express", "fastify", "@nestjs", "GetMapping", "Route", "\0", "é"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=60).map(" ".join), st.sampled_from(["js", "ts", "java", "go", "py"]))
def test_any_text_is_read_or_named(text, kind):
    found = read([(f"x.{kind}", text.encode())])
    assert list(found.skipped) in ([], ["x.py"])
    for one in found.all:
        assert 1 <= one.line <= text.count("\n") + 1


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_template_and_any_path(pattern, path):
    text = f"from flask import Flask\n@app.get({pattern!r})\ndef f(): pass\n"
    found = read([("x.py", text.encode("utf-8", "surrogatepass"))])
    answered = match(found.all, "GET", path)
    assert set(answered.best) <= set(answered.all) <= set(found.all)
    assert bool(answered.best) == bool(answered.all)


@pytest.mark.parametrize(
    "piece",
    ["app.get('/x', ", "a => ", "(/[", "{", "`${", "function f(app) {", "@A(", 'r.Route("/x", func(r R) {', "/* ",
     "app.use('/a', b); "],
)  # fmt: skip
def test_reading_takes_time_in_proportion_to_the_text(piece):
    for kind, head in (
        ("js", "import 'express';"),
        ("java", ""),
        ("go", 'package p\nimport "github.com/go-chi/chi"\n'),
    ):
        times = []
        for size in (400, 3200):
            began = time.process_time()
            read([(f"x.{kind}", (head + piece * size).encode())])
            times.append(time.process_time() - began)
        assert times[1] < 24 * times[0] + 0.3, (kind, times)
