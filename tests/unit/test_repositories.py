import pytest

from reconciler.core import repositories
from reconciler.core.desired import Forge, Task


def of(repository: str | None, url: str = "https://git.example.org", *listed: str) -> str | None:
    task = Task(title="t", goal="g", repository=repository)
    return repositories.of(task, Forge(kind="forgejo", url=url, repositories=listed))


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://git.example.org/team/shop", "team/shop"),
        ("https://git.example.org/team/shop.git", "team/shop"),
        ("https://git.example.org/team/shop.git/", "team/shop"),
        ("HTTPS://bot:word@GIT.example.org.:8443/team//shop.git", "team/shop"),
        ("http://git.example.org/team/shop", "team/shop"),
        ("https://git.example.org/te%61m/shop", "team/shop"),
        ("https://git.example.org/team", None),
        ("https://git.example.org/a/team/shop", None),
        ("https://git.example.org/../shop", None),
        ("https://elsewhere.example.org/team/shop", None),
        ("https://[broken/team/shop", None),
        ("ftp://git.example.org/team/shop", None),
        ("ssh://git@ssh.example.org:2222/team/shop.git", "team/shop"),
        ("ssh://git@alias/srv/git/team/shop.git", "team/shop"),
        ("ssh://git@alias/~git/team/shop.git", "team/shop"),
        ("ssh://git@alias/~/shop.git", None),
        ("git://git.example.org/team/shop", "team/shop"),
        ("git@git.example.org:team/shop.git", "team/shop"),
        ("work:team/shop", "team/shop"),
        ("work:/team/shop/", "team/shop"),
        ("git@[::1]:team/shop.git", "team/shop"),
        ("work:shop", None),
        ("work:~/shop", None),
        ("/srv/git/team/shop.git", "team/shop"),
        ("/srv/git/team/shop/.git", "team/shop"),
        ("file:///srv/git/team/shop.git", "team/shop"),
        ("file:///srv/my%20git/shop.git", None),
        ("~/git/team/shop", "team/shop"),
        ("~/shop", None),
        ("../shop", None),
        ("/shop", None),
        ("/", None),
        ("", None),
        (None, None),
    ],
)
def test_where_any_repository_is_meant_its_url_says_which(repository: str | None, expected: str | None) -> None:
    assert of(repository) == expected


@pytest.mark.parametrize("url", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080/"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:4", "[::1]:3000", "127.9.9.9", "git.localhost"])
def test_all_names_of_this_machine_are_one(url: str, host: str) -> None:
    assert of(f"http://{host}/team/shop", url) == "team/shop"


def test_a_forge_may_stand_below_a_path() -> None:
    assert of("https://example.org/git/team/shop.git", "https://example.org/git/") == "team/shop"
    assert of("https://example.org/team/shop.git", "https://example.org/git/") is None
    assert of("https://example.org/git/team", "https://example.org/git/") is None
    assert of("git@example.org:team/shop", "https://example.org/git/") == "team/shop"


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://git.example.org/team/shop", "Team/Shop"),
        ("git@alias:TEAM/SHOP.git", "Team/Shop"),
        ("https://git.example.org/team/other", None),
        ("https://git.example.org/else/shop", None),
        ("git@alias:else/shop", None),
        ("/srv/team/shop", "Team/Shop"),
        ("/srv/checkouts/shop", "Team/Shop"),
        ("../shop.git", "Team/Shop"),
        ("/srv/my checkouts/shop", "Team/Shop"),
        ("/srv/checkouts/till", None),
        ("/srv/checkouts/other", None),
    ],
)
def test_where_repositories_are_listed_it_is_one_of_them(repository: str, expected: str | None) -> None:
    assert of(repository, "https://git.example.org", "Team/Shop", "team/till", "else/till") == expected


def test_a_folder_called_otherwise_is_the_only_repository_that_is_listed() -> None:
    assert of("/srv/checkouts/work", "https://git.example.org", "team/shop") == "team/shop"
    assert of("https://git.example.org/team/work", "https://git.example.org", "team/shop") is None
    assert of("/", "https://git.example.org", "team/shop") is None


def test_names_are_compared_without_case() -> None:
    assert repositories.same("Team/Shop", "team/SHOP")
    assert not repositories.same("team/shop", "team/shops")
