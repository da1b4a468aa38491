"""The REST interface of the test forge, with the status codes and traps of Forgejo and Gitea."""

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.forge.hub import Hub, NewHook
from tests.forge.shapes import Json
from tests.forge.state import Hook, Issue, Label, Permission, Refused, Repository, User
from tests.forge.webhooks import types

DEFAULT_LIMIT = 30
MAX_LIMIT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: `document` as JSON, `None` for no body, a text as it is."""

    status: int
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, its account known: `words` are the variable parts of its path."""

    hub: Hub
    user: User | None
    path: str
    words: Sequence[str]
    query: Mapping[str, str]
    body: Mapping[str, object]

    @property
    def repository(self) -> Repository:
        """The repository that the path names, where the account may read it."""
        found = self.hub.repositories.get("/".join(self.words[:2]))
        if found is None or not found.may(self.user, "read"):
            raise Refused(404, "The target couldn't be found.")
        return found

    @property
    def number(self) -> int:
        return int(self.words[2])

    def writer(self, level: Permission = "read") -> User:
        """The account, which must be signed in and may do so much."""
        if self.user is None:
            raise Refused(401, "token is required")
        if not self.repository.may(self.user, level):
            raise Refused(403, "user should have a permission to write to a repo")
        return self.user

    def paged(self, documents: Sequence[Json]) -> Answer:
        """One page of a list, with the headers that lead to the others."""
        size = min(int(self.query.get("limit") or DEFAULT_LIMIT) or DEFAULT_LIMIT, MAX_LIMIT)
        page = max(int(self.query.get("page") or 1), 1)
        last = max((len(documents) + size - 1) // size, 1)
        links = [("next", page + 1), ("last", last)] if page < last else []
        links += [("first", 1), ("prev", page - 1)] if page > 1 else []
        told = ",".join(f'<{self._page(number)}>; rel="{name}"' for name, number in links)
        headers = {"X-Total-Count": str(len(documents)), **({"Link": told} if told else {})}
        return Answer(status=200, document=documents[(page - 1) * size : page * size], headers=headers)

    def _page(self, number: int) -> str:
        return f"{self.hub.url}{self.path}?{urllib.parse.urlencode({**self.query, 'page': str(number)})}"


def user(call: Call) -> Answer:
    if call.user is None:
        raise Refused(401, "token is required")
    return Answer(status=200, document=call.hub.shapes.user(call.user))


def other_user(call: Call) -> Answer:
    found = call.hub.users.get(call.words[0])
    if found is None:
        raise Refused(404, "user redirect does not exist")
    return Answer(status=200, document=call.hub.shapes.user(found))


def version(_: Call) -> Answer:
    return Answer(status=200, document={"version": "11.0.3+gitea-1.22.0"})


def make_repository(call: Call) -> Answer:
    if call.user is None:
        raise Refused(401, "token is required")
    full_name = f"{call.user.login}/{call.body.get('name')}"
    if full_name in call.hub.repositories:
        raise Refused(409, "The repository with the same name already exists.")
    made = call.hub.repository(full_name, private=bool(call.body.get("private")))
    return Answer(status=201, document=call.hub.shapes.repository(made, call.user))


def repository(call: Call) -> Answer:
    return Answer(status=200, document=call.hub.shapes.repository(call.repository, call.user))


def delete_repository(call: Call) -> Answer:
    call.writer("owner")
    del call.hub.repositories[call.repository.full_name]
    return Answer(status=204)


def branch(call: Call) -> Answer:
    sha = call.repository.heads.get(call.words[2])
    if sha is None:
        raise Refused(404, "The target couldn't be found.")
    return Answer(status=200, document={"name": call.words[2], "commit": {"id": sha}, "protected": False})


def permission(call: Call) -> Answer:
    asks, login = call.writer(), call.words[2]
    found = call.hub.users.get(login)
    if found is None:
        raise Refused(404, "user does not exist")
    if asks is not found and not call.repository.may(asks, "admin"):
        message = "Only admins can query all permissions, repo admins can query all repo permissions"
        raise Refused(403, f"{message}, collaborators can query only their own")
    may = call.repository.permission(found)
    return Answer(status=200, document={"permission": may, "role_name": may, "user": call.hub.shapes.user(found)})


def collaborator(call: Call) -> Answer:
    call.writer()
    return Answer(status=204 if call.words[2] in call.repository.permissions else 404)


def pulls(call: Call) -> Answer:
    """`head` and `base` are ignored without a word, as by every server before Forgejo 16."""
    wanted = call.query.get("state", "open")
    found = [(issue, pull) for issue, pull in call.repository.pulls() if wanted in ("all", issue.state)]
    if call.query.get("sort") == "recentupdate":
        found.sort(key=lambda one: (one[0].updated_at, one[0].number), reverse=True)
    return call.paged([call.hub.shapes.pull(call.repository, issue, pull) for issue, pull in found])


def open_pull(call: Call) -> Answer:
    by = call.writer()
    texts = {key: value for key, value in call.body.items() if isinstance(value, str)}
    return _pull(call, call.hub.create_pull(call.repository, by, texts), 201)


def pull(call: Call) -> Answer:
    issue, _ = call.repository.pull(call.number)
    return _pull(call, issue, 200)


def pull_by_branches(call: Call) -> Answer:
    """The oldest of this pair, in whatever state."""
    for issue, found in reversed(call.repository.pulls()):
        if (found.base, found.branch) == (call.words[2], call.words[3]):
            return _pull(call, issue, 200)
    raise Refused(404, "The target couldn't be found.")


def edit_pull(call: Call) -> Answer:
    by = call.writer()
    call.repository.pull(call.number)
    return _pull(call, call.hub.edit(call.repository, call.number, by, call.body), 201)


def _pull(call: Call, issue: Issue, status: int) -> Answer:
    assert issue.pull is not None
    return Answer(status=status, document=call.hub.shapes.pull(call.repository, issue, issue.pull))


def merge(call: Call) -> Answer:
    by = call.writer("write")
    _, found = call.repository.pull(call.number)
    if call.body.get("head_commit_id") not in (None, "", found.head_sha):
        raise Refused(409, "head out of date")
    how, delete = str(call.body.get("Do", "merge")), bool(call.body.get("delete_branch_after_merge"))
    call.hub.merge_pull(call.repository, call.number, by, how, delete=delete)
    return Answer(status=200)


def is_merged(call: Call) -> Answer:
    _, found = call.repository.pull(call.number)
    return Answer(status=204 if found.merged else 404)


def reviews(call: Call) -> Answer:
    _, found = call.repository.pull(call.number)
    shapes = call.hub.shapes
    return call.paged([shapes.review(call.repository, call.number, found, review) for review in found.reviews])


def write_review(call: Call) -> Answer:
    review = call.hub.write_review(call.repository, call.number, call.writer(), call.body)
    return _review(call, review.id)


def review(call: Call) -> Answer:
    return _review(call, int(call.words[3]))


def dismiss(call: Call) -> Answer:
    call.writer("admin")
    call.repository.review(call.number, int(call.words[3])).dismissed = True
    return _review(call, int(call.words[3]))


def _review(call: Call, review_id: int) -> Answer:
    _, found = call.repository.pull(call.number)
    one = call.repository.review(call.number, review_id)
    return Answer(status=200, document=call.hub.shapes.review(call.repository, call.number, found, one))


def inline_comments(call: Call) -> Answer:
    one = call.repository.review(call.number, int(call.words[3]))
    shapes = call.hub.shapes
    shown = [shapes.inline(call.repository, call.number, one, inline) for inline in one.comments]
    return Answer(status=200, document=shown)


def issues(call: Call) -> Answer:
    """Without `type=issues` pull requests are among them; several labels must all be there."""
    kind, wanted = call.query.get("type"), call.query.get("state", "open")
    labels = {name for name in call.query.get("labels", "").split(",") if name}
    since = datetime.fromisoformat(call.query["since"]) if call.query.get("since") else None
    found = [
        issue
        for _, issue in sorted(call.repository.issues.items(), reverse=True)
        if wanted in ("all", issue.state)
        and (kind not in ("issues", "pulls") or (kind == "pulls") == (issue.pull is not None))
        and labels <= {label.name for label in issue.labels}
        and (since is None or issue.updated_at >= since)
    ]
    return call.paged([call.hub.shapes.issue(call.repository, issue) for issue in found])


def open_issue(call: Call) -> Answer:
    by = call.writer()
    title, body = str(call.body.get("title") or ""), str(call.body.get("body") or "")
    if not title:
        raise Refused(422, "[Title]: Required")
    made = call.hub.create_issue(call.repository, by, title, body, _labels(call))
    return Answer(status=201, document=call.hub.shapes.issue(call.repository, made))


def issue(call: Call) -> Answer:
    found = call.repository.conversation(call.number)
    return Answer(status=200, document=call.hub.shapes.issue(call.repository, found))


def edit_issue(call: Call) -> Answer:
    found = call.hub.edit(call.repository, call.number, call.writer("write"), call.body)
    return Answer(status=201, document=call.hub.shapes.issue(call.repository, found))


def comments(call: Call) -> Answer:
    found = call.repository.conversation(call.number)
    shown = [call.hub.shapes.comment(call.repository, found, comment) for comment in found.comments]
    return Answer(status=200, document=shown, headers={"X-Total-Count": str(len(shown))})


def write_comment(call: Call) -> Answer:
    by, found = call.writer(), call.repository.conversation(call.number)
    comment = call.hub.comment_on(call.repository, call.number, by, str(call.body.get("body") or ""))
    return Answer(status=201, document=call.hub.shapes.comment(call.repository, found, comment))


def _labels(call: Call) -> list[Label]:
    given = call.body.get("labels")
    return [call.hub.label_of(call.repository, wanted) for wanted in given] if isinstance(given, list) else []


def labels(call: Call) -> Answer:
    return call.paged([call.hub.shapes.label(call.repository, label) for label in call.repository.labels])


def make_label(call: Call) -> Answer:
    call.writer("write")
    made = call.hub.label_of(call.repository, str(call.body.get("name")), make=True)
    return Answer(status=201, document=call.hub.shapes.label(call.repository, made))


def issue_labels(call: Call) -> Answer:
    found = call.repository.conversation(call.number)
    return Answer(status=200, document=[call.hub.shapes.label(call.repository, label) for label in found.labels])


def add_labels(call: Call) -> Answer:
    by, found = call.writer("write"), call.repository.conversation(call.number)
    more = [label for label in _labels(call) if label not in found.labels]
    call.hub.set_labels(call.repository, call.number, by, [*found.labels, *more])
    return issue_labels(call)


def remove_label(call: Call) -> Answer:
    by, found = call.writer("write"), call.repository.conversation(call.number)
    kept = [label for label in found.labels if str(label.id) != call.words[3]]
    call.hub.set_labels(call.repository, call.number, by, kept)
    return Answer(status=204)


def set_status(call: Call) -> Answer:
    status = call.hub.set_status(call.repository, call.words[2], call.writer("write"), call.body)
    return Answer(status=201, document=call.hub.shapes.status(call.repository, status))


def statuses(call: Call) -> Answer:
    sha = call.repository.heads.get(call.words[2], call.words[2])
    found = [status for status in reversed(call.repository.statuses) if status.sha == sha]
    return call.paged([call.hub.shapes.status(call.repository, status) for status in found])


def combined_status(call: Call) -> Answer:
    sha = call.repository.heads.get(call.words[2], call.words[2])
    latest = {status.context: status for status in call.repository.statuses if status.sha == sha}
    shown = [call.hub.shapes.status(call.repository, status) for status in latest.values()]
    states = [status.state for status in latest.values()]
    worst = next((word for word in ("error", "failure", "pending") if word in states), "success" if states else "")
    document = {"state": worst, "sha": sha, "total_count": len(shown), "statuses": shown}
    return Answer(status=200, document=document, headers={"X-Total-Count": str(len(shown))})


def _shown(call: Call, hook: Hook) -> Json:
    return call.hub.shapes.hook(hook, types(hook.events))


def hooks(call: Call) -> Answer:
    call.writer("admin")
    return call.paged([_shown(call, hook) for hook in call.repository.hooks])


def make_hook(call: Call) -> Answer:
    call.writer("admin")
    config = _object(call.body.get("config"))
    given = call.body.get("events")
    made = call.hub.create_hook(
        call.repository,
        NewHook(
            type=str(call.body.get("type") or ""),
            url=str(config.get("url") or ""),
            secret=str(config.get("secret") or ""),
            content_type=str(config.get("content_type") or ""),
            events=[str(name) for name in given] if isinstance(given, list) else (),
            active=call.body.get("active") is True,
            branch_filter=str(call.body.get("branch_filter") or ""),
            authorization=str(call.body.get("authorization_header") or ""),
        ),
    )
    return Answer(status=201, document=_shown(call, made))


def _hook(call: Call) -> Hook:
    call.writer("admin")
    for one in call.repository.hooks:
        if str(one.id) == call.words[2]:
            return one
    raise Refused(404, "The target couldn't be found.")


def hook(call: Call) -> Answer:
    return Answer(status=200, document=_shown(call, _hook(call)))


def edit_hook(call: Call) -> Answer:
    """The trap: the secret is ignored, and what is left out is not kept but reset."""
    found = _hook(call)
    config, given = _object(call.body.get("config")), call.body.get("events")
    found.url, found.content_type = (
        str(config.get("url", found.url)),
        str(config.get("content_type", found.content_type)),
    )
    found.events = [str(name) for name in given] if isinstance(given, list) and given else ["push"]
    found.branch_filter = str(call.body.get("branch_filter") or "")
    found.authorization = str(call.body.get("authorization_header") or "")
    found.active = bool(call.body.get("active", found.active))
    return Answer(status=200, document=_shown(call, found))


def delete_hook(call: Call) -> Answer:
    call.repository.hooks.remove(_hook(call))
    return Answer(status=204)


def try_hook(call: Call) -> Answer:
    found = _hook(call)
    call.hub.try_hook(call.repository, found, call.writer("admin"))
    return Answer(status=204)


def _object(given: object) -> Mapping[str, object]:
    return given if isinstance(given, dict) else {}


Route = tuple[str, "re.Pattern[str]", Callable[[Call], Answer]]
REPOSITORY = "/repos/([^/]+)/([^/]+)"


def _route(method: str, path: str, does: Callable[[Call], Answer]) -> Route:
    return method, re.compile(f"/api/v1{path.replace('REPO', REPOSITORY)}"), does


ROUTES: tuple[Route, ...] = (
    _route("GET", "/version", version),
    _route("GET", "/user", user),
    _route("GET", "/users/([^/]+)", other_user),
    _route("POST", "/user/repos", make_repository),
    _route("GET", "REPO", repository),
    _route("DELETE", "REPO", delete_repository),
    _route("GET", "REPO/branches/(.+)", branch),
    _route("GET", "REPO/collaborators/([^/]+)/permission", permission),
    _route("GET", "REPO/collaborators/([^/]+)", collaborator),
    _route("GET", "REPO/pulls", pulls),
    _route("POST", "REPO/pulls", open_pull),
    _route("GET", r"REPO/pulls/(\d+)", pull),
    _route("PATCH", r"REPO/pulls/(\d+)", edit_pull),
    _route("POST", r"REPO/pulls/(\d+)/merge", merge),
    _route("GET", r"REPO/pulls/(\d+)/merge", is_merged),
    _route("GET", r"REPO/pulls/(\d+)/reviews", reviews),
    _route("POST", r"REPO/pulls/(\d+)/reviews", write_review),
    _route("GET", r"REPO/pulls/(\d+)/reviews/(\d+)", review),
    _route("GET", r"REPO/pulls/(\d+)/reviews/(\d+)/comments", inline_comments),
    _route("POST", r"REPO/pulls/(\d+)/reviews/(\d+)/dismissals", dismiss),
    _route("GET", "REPO/pulls/([^/]+)/(.+)", pull_by_branches),
    _route("GET", "REPO/issues", issues),
    _route("POST", "REPO/issues", open_issue),
    _route("GET", r"REPO/issues/(\d+)", issue),
    _route("PATCH", r"REPO/issues/(\d+)", edit_issue),
    _route("GET", r"REPO/issues/(\d+)/comments", comments),
    _route("POST", r"REPO/issues/(\d+)/comments", write_comment),
    _route("GET", r"REPO/issues/(\d+)/labels", issue_labels),
    _route("POST", r"REPO/issues/(\d+)/labels", add_labels),
    _route("DELETE", r"REPO/issues/(\d+)/labels/(\d+)", remove_label),
    _route("GET", "REPO/labels", labels),
    _route("POST", "REPO/labels", make_label),
    _route("POST", "REPO/statuses/([^/]+)", set_status),
    _route("GET", "REPO/statuses/([^/]+)", statuses),
    _route("GET", "REPO/commits/(.+)/statuses", statuses),
    _route("GET", "REPO/commits/(.+)/status", combined_status),
    _route("GET", "REPO/hooks", hooks),
    _route("POST", "REPO/hooks", make_hook),
    _route("GET", r"REPO/hooks/(\d+)", hook),
    _route("PATCH", r"REPO/hooks/(\d+)", edit_hook),
    _route("DELETE", r"REPO/hooks/(\d+)", delete_hook),
    _route("POST", r"REPO/hooks/(\d+)/tests", try_hook),
)


def answer(hub: Hub, method: str, target: str, authorization: str, body: bytes) -> Answer:
    """The answer to one request."""
    parts = urllib.parse.urlsplit(target)
    query = {name: values[-1] for name, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
    for wanted, pattern, does in ROUTES:
        found = pattern.fullmatch(parts.path)
        if wanted != method or found is None:
            continue
        words = [urllib.parse.unquote(word) for word in found.groups()]
        try:
            asks = account(hub, authorization)
            call = Call(hub=hub, user=asks, path=parts.path, words=words, query=query, body=_object(_json(body)))
            return does(call)
        except Refused as refused:
            more = {"errors": None} if refused.status == 404 else {}
            document = {**more, "message": refused.message, "url": f"{hub.url}/api/swagger"}
            return Answer(status=refused.status, document=document)
    return Answer(status=404, document="404 page not found\n")


def account(hub: Hub, authorization: str) -> User | None:
    """Whose token it is; a wrong one is refused, none at all is nobody."""
    scheme, _, value = authorization.partition(" ")
    if not scheme:
        return None
    if scheme.lower() == "basic":
        value = base64.b64decode(value).decode(errors="replace").partition(":")[2]
    for one in hub.users.values():
        if one.token == value:
            return one
    raise Refused(401, "user does not exist [uid: 0, name: ]")


def _json(body: bytes) -> object:
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(422, "invalid JSON") from None
