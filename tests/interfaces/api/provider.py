"""A provider of OpenID Connect for the tests: Django with django-oidc-provider, as a process; not a test.

``python provider.py FOLDER PORT REDIRECT`` serves it at 127.0.0.1:PORT, with the users ada (of the group soc) and
bob, whose passwords are their names, and the client ``lemnis`` with the secret ``quite-secret``.
"""

import sys
from pathlib import Path
from wsgiref.simple_server import make_server


def main(folder, port, redirect):
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="no secret: a test", ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                        "oidc_provider"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder) / "op.db")}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        SITE_URL=f"http://127.0.0.1:{port}", LOGIN_URL="/login", USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField", OIDC_IDTOKEN_INCLUDE_CLAIMS=True,
        OIDC_IDTOKEN_PROCESSING_HOOK=f"{__name__}.with_groups", OIDC_USERINFO=f"{__name__}.userinfo",
    )  # fmt: skip
    sys.modules.setdefault("provider", sys.modules[__name__])
    django.setup()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from oidc_provider.models import Client, ResponseType, RSAKey

    call_command("migrate", verbosity=0)
    for name in ("ada", "bob"):
        User.objects.create_user(name, f"{name}@corp.example", name, first_name=name.title())
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    RSAKey.objects.create(key=pem.decode())
    client = Client(name="Lemnis", client_type="confidential", client_id="lemnis", client_secret="quite-secret",
                    jwt_alg="RS256", require_consent=False, reuse_consent=True)  # fmt: skip
    client.redirect_uris = [redirect]
    client.save()
    client.response_types.add(ResponseType.objects.get_or_create(value="code")[0])
    server = make_server("127.0.0.1", int(port), get_wsgi_application())
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


def login(request):
    from django.contrib.auth import authenticate
    from django.contrib.auth import login as begin
    from django.http import HttpResponse, HttpResponseRedirect

    name = request.POST.get("name", "")
    user = authenticate(request, username=name, password=request.POST.get("password", ""))
    if user is None:
        return HttpResponse(
            '<form method="post"><input name="name"><input name="password"><button>Go</button></form>'
        )
    begin(request, user)
    return HttpResponseRedirect(request.GET["next"])


def with_groups(id_token, user, **_more):
    id_token["groups"] = ["soc"] if user.username == "ada" else []
    return id_token


def userinfo(claims, user):
    return claims | {"preferred_username": user.username, "email": user.email, "email_verified": True}


class Lazy(list):
    """The routes, which Django asks for when it is set up."""

    def __iter__(self):
        from django.urls import include, path

        return iter(
            [path("login", login), path("", include("oidc_provider.urls", namespace="oidc_provider"))]
        )

    def __reversed__(self):
        return reversed(list(iter(self)))


urlpatterns = Lazy()

if __name__ == "__main__":
    main(*sys.argv[1:])
