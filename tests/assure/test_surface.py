import pytest

from lemnis.assure.surface import added


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("a/app.py", '@app.route("/export")', "entry_point"),
        ("a/app.py", '@router.post("/x")', "entry_point"),
        ("a/urls.py", '    path("export/", views.export),', "entry_point"),
        ("a/app.js", "app.get('/export', f)", "entry_point"),
        ("A.java", '@GetMapping("/export")', "entry_point"),
        ("a.go", 'http.HandleFunc("/export", f)', "entry_point"),
        ("a.proto", "  rpc Export (Request) returns (Reply);", "entry_point"),
        ("Dockerfile", "EXPOSE 8080", "entry_point"),
        ("k/svc.yaml", "  type: LoadBalancer", "entry_point"),
        ("main.tf", 'resource "aws_s3_bucket" "data" {', "data_store"),
        ("m/1.sql", "CREATE TABLE orders (", "data_store"),
        ("m/1.py", '    op.create_table("orders",', "data_store"),
        ("docker-compose.yml", "    image: postgres:16", "data_store"),
        ("main.tf", 'resource "aws_security_group" "open" {', "trust_boundary"),
        ("k/np.yaml", "kind: NetworkPolicy", "trust_boundary"),
        ("a/m.py", "    email: Mapped[str] = mapped_column()", "personal_data"),
        ("m/1.sql", "  phone_number VARCHAR(20),", "personal_data"),
        ("a.proto", "  string email = 3;", "personal_data"),
    ],
)
def test_what_adds_to_the_surface_is_seen(path, text, kind):
    assert [(one.kind, one.path, one.line) for one in added([(path, 7, text)])] == [(kind, path, 7)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a/app.py", "x = get('/export')"),
        ("tests/test_app.py", '@app.route("/export")'),
        ("README.md", "CREATE TABLE orders ("),
        ("a/m.py", "# mail the email address to nobody"),
        ("a/m.py", "send(email)"),
        ("main.tf", 'resource "aws_s3_bucket_policy" "data" {'),
    ],
)
def test_what_adds_nothing_is_let_be(path, text):
    assert list(added([(path, 1, text)])) == []


def test_a_line_without_end_is_read_to_a_bound():
    assert list(added([("a.py", 1, "(" * 5_000_000)])) == []
