"""Who may have what: real users ask, and the daemon knows them from the kernel alone."""

import grp
import re
import shutil
import socket
import subprocess
import time

import pytest

from open_files import open_files
from reloading import reload
from unix_http import exchange
from users import (User, account, as_user, become, connect_as, curl_status, needs_root,
                   unit)
from waiting import PATIENCE, wait_until

pytestmark = needs_root

OPEN = {"socket_mode": "0666"}  # whoever likes may connect: the rules decide
ROOT = User(0, 0)
GAMES = account("games")
MAIL = account("mail")
NOBODY = account("nobody")
STRANGER = User(54321, 54321)  # no account has this uid
WWW = grp.getgrnam("www-data").gr_gid


def ask(d, user, method, target):
    return d.ask_as(user.uid, method, target, gid=user.gid, groups=user.groups)


def history(d, profile="default"):
    answer = d.get(f"/v1/history?profile={profile}")
    assert answer.status == 200, answer
    return answer.json["events"]


def denials(d, profile="default"):
    return [e for e in history(d, profile) if e["event"] == "denied"]


def metric(text, name):
    """The one value of that name, labels included."""
    found = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.M)
    assert len(found) == 1, f"{name} is there {len(found)} times"
    return float(found[0])


PEERS = {
    "root": ROOT,
    "games": GAMES,
    "mail": MAIL,
    "nobody": NOBODY,
    "a stranger": STRANGER,
    "nobody, primary group www-data": User(NOBODY.uid, WWW),
    "nobody, also in www-data": User(NOBODY.uid, NOBODY.gid, (WWW,)),
    "a stranger in many groups": User(STRANGER.uid, STRANGER.gid, (*range(70000, 70200), WWW)),
    # The number of a user is not that of a group.
    "a user whose uid is www-data's gid": User(WWW, STRANGER.gid),
    "a group that has games' uid": User(STRANGER.uid, GAMES.uid),
}
IN_GROUP = {"nobody, primary group www-data", "nobody, also in www-data",
            "a stranger in many groups"}
# Rules of a profile, and who but root may have its token.
RULES = {
    "none": ({}, set()),
    "user": ({"allow_users": "games"}, {"games"}),
    "users": ({"allow_users": "games, mail"}, {"games", "mail"}),
    "group": ({"allow_groups": "www-data"}, IN_GROUP),
    "both": ({"allow_users": "mail", "allow_groups": "www-data"}, {"mail"} | IN_GROUP),
    "all": ({"allow_users": "*"}, set(PEERS)),
    "all-units": ({"allow_users": "*", "allow_units": "gct-none.service"}, set()),
    "root-only": ({"allow_users": "root"}, set()),
}


def test_who_has_a_token(server, daemon):
    """Every rule against every peer: a token, or words that say nothing of the profile."""
    server.set(lifetime=3600)
    d = daemon(server, broker=OPEN, profiles={name: keys for name, (keys, _) in RULES.items()})
    tokens = {name: d.token(name, wait=20).json["access_token"] for name in RULES}
    refused = {name: 0 for name in RULES}
    for peer, user in PEERS.items():
        for name, (_, allowed) in RULES.items():
            answer = ask(d, user, "GET", f"/v1/token?profile={name}")
            what = f"{peer} asks for {name}"
            if user == ROOT or peer in allowed:
                assert answer.status == 200, what
                same = answer.json["access_token"] == tokens[name]
                assert same, what
                continue
            refused[name] += 1
            assert answer.status == 403 and answer.json["error"] == "access_denied", what
            assert set(answer.json) == {"error", "error_description"}, what
            d.assert_no_leak(answer.text, what)
    text = d.get("/metrics").text
    for name, count in refused.items():
        assert metric(text, f'gctokend_denied_requests_total{{profile="{name}"}}') == count, name
        assert sum(event["times"] for event in denials(d, name)) == count, name


def test_the_daemons_own_user(server, make_daemon):
    """It runs as another user, who then may have everything; and so may root, still."""
    d = make_daemon(server, broker=OPEN, wrap=[
        "setpriv", f"--reuid={NOBODY.uid}", f"--regid={NOBODY.gid}", "--clear-groups"])
    ca_file = d.path("ca.pem")
    shutil.copy(server.ca_file, ca_file)  # the fake's folder is closed to others
    d.profiles["default"]["ca_file"] = ca_file
    d.write_config()
    for path in (d.directory, d.state_dir, d.path("default.secret")):
        shutil.chown(path, NOBODY.uid, NOBODY.gid)
    d.start()
    for user in (NOBODY, ROOT, User(NOBODY.uid, STRANGER.gid)):
        assert ask(d, user, "GET", "/v1/token?wait=20").status == 200
        assert ask(d, user, "GET", "/v1/history").status == 200
    assert ask(d, GAMES, "GET", "/v1/token").status == 403
    assert ask(d, User(GAMES.uid, NOBODY.gid), "GET", "/v1/token").status == 403  # only its group
    assert ask(d, NOBODY, "POST", "/v1/refresh").status == 200


# Numbers, containers.

def test_users_and_groups_without_a_name(server, daemon):
    """As those of containers are."""
    d = daemon(server, broker=OPEN, profiles={
        "user": {"allow_users": f"games, {STRANGER.uid}"},
        "group": {"allow_groups": "054321"}})
    in_group = User(70001, 70001, (STRANGER.gid,))
    for name, user, status in [
            ("user", STRANGER, 200), ("user", GAMES, 200), ("user", in_group, 403),
            ("group", in_group, 200), ("group", User(70001, STRANGER.gid), 200),
            ("group", GAMES, 403)]:
        assert ask(d, user, "GET", f"/v1/token?profile={name}&wait=20").status == status


def test_root_as_a_user_like_others(server, daemon):
    """A container's root, too. Even if the daemon runs as root itself."""
    d = daemon(server, broker={**OPEN, "root_needs_rule": "yes", "admin_users": "mail"}, profiles={
        "none": {}, "named": {"allow_users": "root"}, "number": {"allow_users": "0 games"},
        "all": {"allow_users": "*"}, "other": {"allow_users": "games"}})
    for name, status in {"none": 403, "named": 200, "number": 200, "all": 200, "other": 403}.items():
        assert ask(d, ROOT, "GET", f"/v1/token?profile={name}&wait=20").status == status, name
    assert ask(d, ROOT, "GET", "/v1/history?profile=named").status == 403
    assert ask(d, ROOT, "POST", "/v1/revoke?profile=named").status == 403
    assert ask(d, MAIL, "GET", "/v1/history?profile=named").status == 200
    assert "broker" not in ask(d, ROOT, "GET", "/v1/status").json
    d.broker["root_needs_rule"] = "no"
    reload(d)
    assert ask(d, ROOT, "GET", "/v1/token?profile=other&wait=20").status == 200
    assert ask(d, ROOT, "GET", "/v1/history?profile=named").status == 200


def test_who_has_no_number_in_the_daemons_namespace(server, make_daemon):
    """There all of them are called 65534 by the kernel, as nobody is; a rule for nobody is not for
    them. Who can connect has what is for whoever can connect."""
    d = make_daemon(server, broker=OPEN, wrap=["unshare", "--user", "--map-root-user"], profiles={
        "user": {"allow_users": "nobody"}, "number": {"allow_users": "65534"},
        "group": {"allow_groups": "nogroup"}, "gid": {"allow_groups": "65534"},
        "all": {"allow_users": "*"}})
    d.start()
    for user in (GAMES, NOBODY, User(STRANGER.uid, NOBODY.gid, (NOBODY.gid, WWW))):
        for name in ("user", "number", "group", "gid"):
            assert ask(d, user, "GET", f"/v1/token?profile={name}").status == 403, name
        assert ask(d, user, "GET", "/v1/token?profile=all&wait=20").status == 200
    assert ask(d, ROOT, "GET", "/v1/token?profile=user&wait=20").status == 200


def test_the_root_of_a_container(server, daemon):
    """It is root, unless it has a user namespace: then it is whoever made that."""
    d = daemon(server, broker=OPEN, profiles={"none": {}, "games": {"allow_users": "games"}})
    elsewhere = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork"]
    a_user_s = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*become(GAMES), *a_user_s, "true"], cwd="/", check=False).returncode:
        pytest.skip("users cannot make user namespaces here")
    for profile, as_a_user in (("none", 403), ("games", 200)):
        target = f"/v1/token?profile={profile}&wait=20"
        assert curl_status(d, ROOT, target, elsewhere) == 200
        assert curl_status(d, GAMES, target, [], a_user_s) == as_a_user


def test_nobody_gets_in_by_the_network(server, daemon):
    d = daemon(server)
    assert d.token(wait=20).status == 200
    mine = set(open_files(d.process.pid).values())
    for kind, waiting in (("tcp", "0A"), ("udp", "07")):
        for table in (kind, kind + "6"):
            with open(f"/proc/{d.process.pid}/net/{table}", encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
            assert not [row for row in rows if row[3] == waiting and f"socket:[{row[9]}]" in mine]


# Profiles that are there, and profiles that are not.

TOKEN_ROUTES = [("GET", "/v1/token?profile={}"),
                ("POST", "/v1/token/reject?profile={}&generation=1"),
                ("GET", "/v1/skew?profile={}"), ("POST", "/v1/skew/probe?profile={}")]
ADMIN_ROUTES = [("GET", "/v1/history?profile={}"), ("POST", "/v1/refresh?profile={}"),
                ("POST", "/v1/revoke?profile={}"), ("POST", "/v1/login?profile={}"),
                ("POST", "/v1/login/finish?profile={}&state=s&code=c"),
                ("POST", "/v1/logout?profile={}")]


def test_nobody_learns_which_profiles_there_are(server, daemon):
    """An unknown profile is refused in the words of a known one; only an admin is told."""
    d = daemon(server, broker={**OPEN, "admin_users": "mail"}, profiles={"known": {}})
    d.token("known", wait=20)
    posts = server.posts
    games, mail, root = connections = [connect_as(d, user) for user in (GAMES, MAIL, ROOT)]
    for method, target in TOKEN_ROUTES + ADMIN_ROUTES:
        told = {}
        for name in ("known", "other", "Not-A-Name", ""):
            answer = exchange(games, method, target.format(name))
            assert answer.status == 403, (target, name)
            # The name that was asked for may come back, if it is one.
            told[name] = answer.text.replace(f'\\"{name}\\"' if name else '\\"\\"', "NAME")
        assert told["known"] == told["other"], target
        assert told["Not-A-Name"] == told[""], target
        for name in ("other", "Not-A-Name"):
            for admin in (mail, root):
                answer = exchange(admin, method, target.format(name))
                assert (answer.status, answer.json["error"]) == (404, "unknown_profile"), target
    assert server.posts == posts
    for connection in connections:
        connection.close()


def test_a_refusal_names_what_was_asked_for(server, daemon):
    """And no other profile: a name that none can have is not quoted, but neither is the default."""
    d = daemon(server, broker={"socket_mode": "0666"})
    for name, told in (("default", '"default"'), ("other", '"other"'),
                       ("NOT-ONE", "not a profile's name")):
        answer = ask(d, GAMES, "GET", f"/v1/token?profile={name}")
        assert answer.status == 403 and told in answer.json["error_description"], answer
        assert name == "default" or "default" not in answer.json["error_description"], answer


def test_access_comes_before_parameters(server, daemon):
    d = daemon(server, broker=OPEN)
    for target in ("/v1/token?wait=x", "/v1/token?colour=red", "/v1/token?wait=1&wait=1"):
        assert ask(d, GAMES, "GET", target).status == 403
        assert ask(d, ROOT, "GET", target).status == 400
    # What cannot be parsed, and what is not there, is the same for everybody.
    assert ask(d, GAMES, "GET", "/v1/token?profile").status == 400
    assert ask(d, GAMES, "GET", "/v1/nothing").status == 404
    assert ask(d, GAMES, "POST", "/v1/token").status == 405


# Administrators.

@pytest.mark.parametrize("rules, admin", [
    ({"admin_users": "mail, games"}, GAMES),
    ({"admin_groups": "www-data"}, User(NOBODY.uid, WWW)),
    ({"admin_groups": "www-data"}, User(NOBODY.uid, NOBODY.gid, (WWW,))),
    ({"admin_users": "*"}, STRANGER),
], ids=["user", "primary group", "supplementary group", "everybody"])
def test_admins(server, daemon, rules, admin):
    """They see and change everything, though no rule of the profile names them."""
    d = daemon(server, broker={**OPEN, **rules}, profiles={"one": {}, "two": {}})
    d.token("one", wait=20), d.token("two", wait=20)
    status = ask(d, admin, "GET", "/v1/status").json
    assert [p["profile"] for p in status["profiles"]] == ["one", "two"]
    assert status["broker"]["version"] and status["broker"]["connections"] >= 1
    assert ask(d, admin, "GET", "/v1/history?profile=one").json["events"]
    assert ask(d, admin, "GET", "/v1/skew?profile=one").status == 200
    assert 'profile="two"' in ask(d, admin, "GET", "/metrics").text
    # Looking is not having: the rules of the profile decide about its token.
    assert ask(d, admin, "GET", "/v1/token?profile=one").status == 403
    assert ask(d, admin, "POST", "/v1/token/reject?profile=one&generation=1").status == 403
    refreshed = ask(d, admin, "POST", "/v1/refresh?profile=one")
    assert refreshed.status == 200 and refreshed.json["profile"] == "one"
    revoked = ask(d, admin, "POST", "/v1/revoke?profile=one")
    assert (revoked.status, revoked.json["state"]) == (200, "revoked")
    assert ask(d, admin, "GET", "/v1/token?profile=two").status == 403
    for route in ("/v1/login", "/v1/login/finish", "/v1/logout"):
        assert ask(d, admin, "POST", f"{route}?profile=two").status == 400


def test_those_who_have_a_token_are_no_admins(server, daemon):
    d = daemon(server, broker=OPEN, profile={"allow_users": "games"})
    before = d.token(wait=20).json["generation"]
    for method, target in ADMIN_ROUTES:
        answer = ask(d, GAMES, method, target.format("default"))
        assert (answer.status, answer.json["error"]) == (403, "access_denied"), target
    after = ask(d, GAMES, "GET", "/v1/token").json
    assert after["generation"] == before
    # An admin is told the reason, as the answer says.
    assert [(e["times"], e["words"]) for e in denials(d)] == \
        [(len(ADMIN_ROUTES), f"denied: uid {GAMES.uid}, not an admin")]
    text = d.get("/metrics").text
    assert metric(text, 'gctokend_denied_requests_total{profile="default"}') == len(ADMIN_ROUTES)


@pytest.mark.parametrize("kept", ["http", "page"])
def test_who_left_a_group_is_out_once_their_connections_are(server, daemon, kept):
    """The kernel notes the groups when a program connects, so an open connection keeps its right. It
    ends with the daemon, and who connects then has the groups of then."""
    member = User(GAMES.uid, GAMES.gid, (WWW,))
    d = daemon(server, broker=OPEN, profile={"allow_groups": "www-data"})
    d.token()
    connection = d.connect()
    if kept == "page":
        connection.sock = socket.socket(socket.AF_UNIX)
        with as_user(member):
            connection.sock.connect(d.path("page.sock"))
    else:
        connection = connect_as(d, member)
        assert exchange(connection, "GET", "/v1/token").status == 200
        reload(d)  # judges it anew, by the groups that it came with
        assert exchange(connection, "GET", "/v1/token").status == 200
    d.restart()
    connection.sock.settimeout(10 * PATIENCE)
    assert connection.sock.recv(1) == b""
    connection.close()
    assert ask(d, User(GAMES.uid, GAMES.gid), "GET", "/v1/token").status == 403


# What is shown to whom.

def test_status_and_metrics_show_what_the_caller_may_see(server, daemon):
    d = daemon(server, broker={**OPEN, "metrics_users": "mail"}, profiles={
        "for-games": {"allow_users": "games"}, "for-www": {"allow_groups": "www-data"},
        "for-both": {"allow_users": "games", "allow_groups": "www-data"}, "for-none": {}})
    every = ["for-both", "for-games", "for-none", "for-www"]
    in_www = User(NOBODY.uid, NOBODY.gid, (WWW,))
    for user, status, metrics in [
            (ROOT, every, every),
            (GAMES, ["for-both", "for-games"], ["for-both", "for-games"]),
            (in_www, ["for-both", "for-www"], ["for-both", "for-www"]),
            (NOBODY, [], []),
            (STRANGER, [], []),
            (MAIL, [], every)]:
        answer = ask(d, user, "GET", "/v1/status")
        assert answer.status == 200
        assert [p["profile"] for p in answer.json["profiles"]] == status, user
        assert ("broker" in answer.json) == (user == ROOT), user
        text = ask(d, user, "GET", "/metrics")
        assert text.status == 200
        whole = [line for line in text.text.splitlines() if "profile=" not in line and line[0] != "#"]
        assert bool(whole) == (user in (ROOT, MAIL)), user  # what concerns the whole broker
        assert sorted(set(re.findall(r'profile="([^"]*)"', text.text))) == metrics, user
        for name in set(every) - set(metrics):
            assert name not in text.text, user
    for route in ("/v1/history?profile=for-none", "/v1/token?profile=for-none"):
        assert ask(d, MAIL, "GET", route).status == 403  # metrics, and nothing else
    # Looking at everything one may see is no denied attempt on the rest.
    assert [sum(e["times"] for e in denials(d, name)) for name in every] == [0, 0, 2, 0]


def test_what_is_shown_to_a_member_without_a_rule(server, daemon):
    d = daemon(server, broker=OPEN, profiles={"default": {}, "named": {"allow_users": "games"}})
    assert ask(d, NOBODY, "GET", "/v1/status").json == {"profiles": []}
    assert ask(d, NOBODY, "GET", "/metrics").text == ""
    assert ask(d, NOBODY, "GET", "/healthz").text == ask(d, NOBODY, "GET", "/readyz").text == "ok\n"
    told = set()
    for profile in ("default", "named", "neither"):
        for method, route in [("GET", "token"), ("GET", "skew"), ("GET", "history"),
                              ("POST", "token/reject"), ("POST", "skew/probe"), ("POST", "refresh"),
                              ("POST", "revoke"), ("POST", "login"), ("POST", "logout")]:
            answer = ask(d, NOBODY, method, f"/v1/{route}?profile={profile}")
            assert answer.status == 403, (route, profile)
            told.add(answer.text.replace(profile, "PROFILE"))
    assert not any("games" in words for words in told)
    assert ask(d, NOBODY, "GET", "/v1/nothing").status == 404
    assert ask(d, NOBODY, "OPTIONS", "/v1/token").status == 204
    assert ask(d, NOBODY, "DELETE", "/v1/token").status == 405


def test_health_is_for_everybody_and_readiness_for_those_it_concerns(fake, daemon):
    f = fake()
    f.fault("token", "answer", times=1000, status=503, body="{}")
    d = daemon(f, broker=OPEN, profiles={"closed": {}, "mine": {"allow_users": "games"}})
    for user in PEERS.values():
        answer = ask(d, user, "GET", "/healthz")
        assert (answer.status, answer.text) == (200, "ok\n"), user
    assert re.search("closed.*mine", ask(d, ROOT, "GET", "/readyz").json["error_description"])
    games = ask(d, GAMES, "GET", "/readyz")
    assert games.status == 503 and "mine" in games.text and "closed" not in games.text
    assert ask(d, NOBODY, "GET", "/readyz").status == 200


# What is remembered.

def test_history_names_the_rule_and_folds_repeats(server, daemon):
    d = daemon(server, broker=OPEN, profile={"allow_users": "mail", "allow_groups": "www-data"})
    d.token(wait=20)
    for _ in range(5):
        assert ask(d, GAMES, "GET", "/v1/token").status == 403
    assert ask(d, STRANGER, "GET", "/v1/skew").status == 403
    assert ask(d, GAMES, "POST", "/v1/token/reject?generation=1").status == 403
    found = {e["words"]: e["times"] for e in denials(d)}
    assert found == {
        f"denied: uid {GAMES.uid}, no rule names uid {GAMES.uid} or its groups": 6,
        f"denied: uid {STRANGER.uid}, no rule names uid {STRANGER.uid} or its groups": 1}
    # The log has each of them once: who asks in a loop does not fill it.
    assert len(re.findall(f"denied: uid {GAMES.uid},", d.stderr_text())) == 1
    assert len(re.findall(f"denied: uid {STRANGER.uid},", d.stderr_text())) == 1
    text = d.get("/metrics").text
    assert metric(text, 'gctokend_denied_requests_total{profile="default"}') == 7
    assert metric(text, 'gctokend_requests_total{code="403"}') == 7


def test_a_storm_of_denials_pushes_nothing_out_of_the_history(server, daemon):
    d = daemon(server, broker=OPEN)
    d.token(wait=20)
    connection = connect_as(d, GAMES)
    for _ in range(500):
        assert exchange(connection, "GET", "/v1/token").status == 403
    connection.close()
    events = history(d)
    assert [e["event"] for e in events].count("token") == 1
    assert [e["times"] for e in events if e["event"] == "denied"] == [500]


# Rules are judged at each request, users when they connect.

def test_a_reload_takes_and_gives_access_on_open_connections(server, daemon):
    d = daemon(server, broker=OPEN, profile={"allow_users": "games"})
    d.token(wait=20)
    games, mail = connect_as(d, GAMES), connect_as(d, MAIL)
    assert exchange(games, "GET", "/v1/token").status == 200
    assert exchange(mail, "GET", "/v1/token").status == 403
    d.profiles["default"]["allow_users"] = "mail"
    d.write_config()
    d.reload()
    wait_until(lambda: exchange(mail, "GET", "/v1/token").status == 200, "the reload")
    assert exchange(games, "GET", "/v1/token").status == 403
    games.close()
    mail.close()


def test_what_is_remembered_of_a_request_is_no_permission(server, daemon):
    """The same bytes again and again, which the daemon then knows without reading them: who may
    have what is asked each time."""
    d = daemon(server, broker=OPEN, profiles={"default": {"allow_users": "games"}, "other": {}})
    d.token(wait=20)
    games, mail = connect_as(d, GAMES), connect_as(d, MAIL)

    def statuses(connection, target="/v1/token?profile=default"):
        return {exchange(connection, "GET", target).status for _ in range(4)}

    assert statuses(games) == {200}
    assert statuses(mail) == {403}
    d.profiles["default"]["allow_users"] = "mail"
    reload(d)
    assert statuses(games) == {403}
    assert statuses(mail) == {200}
    del d.profiles["default"]
    reload(d)
    assert statuses(mail) == {403}  # as if it were there
    d.add_profile("default", allow_users="games mail")
    reload(d)
    assert statuses(games) == statuses(mail) == {200}
    games.close()
    mail.close()


def test_rules_that_change_while_a_request_waits(fake, daemon):
    """The token is handed out by the rules of that moment."""
    f = fake()
    f.fault("token", "delay", work=30)
    d = daemon(f, broker=OPEN, profile={"allow_users": "games, mail"})
    games, mail = connect_as(d, GAMES), connect_as(d, MAIL)
    for connection in (games, mail):
        connection.request("GET", "/v1/token?wait=20")
    wait_until(lambda: d.status()["waiting"] == 2, "both are held")
    f.wait_for("token", 1)
    d.profiles["default"]["allow_users"] = "mail"
    d.write_config()
    d.reload()
    d.wait_log("(?i)reload")
    f.close_connections()  # the fetch fails, and the one after that succeeds
    d.post("/v1/refresh")
    refused, given = games.getresponse(), mail.getresponse()
    assert (refused.status, given.status) == (403, 200)
    assert b"access_token" not in refused.read()
    given.read()
    assert sum(e["times"] for e in denials(d)) == 1
    games.close()
    mail.close()


def test_the_user_is_who_connected(server, daemon):
    """What a process becomes later does not matter, nor who else writes to its socket."""
    d = daemon(server, broker=OPEN, profile={"allow_users": "games"})
    d.token(wait=20)
    games, nobody = connect_as(d, GAMES), connect_as(d, NOBODY)
    # This is root again.
    assert exchange(nobody, "GET", "/v1/token").status == 403
    assert exchange(nobody, "GET", "/v1/history").status == 403
    with as_user(NOBODY):
        assert exchange(games, "GET", "/v1/token").status == 200
        assert exchange(games, "GET", "/v1/history").status == 403
    games.close()
    nobody.close()


def test_the_sockets_mode_keeps_others_out(server, daemon):
    """Before any rule is asked."""
    d = daemon(server, broker={"socket_mode": "0660", "socket_group": "www-data"},
               profile={"allow_users": "*"})
    d.token(wait=20)
    connection = connect_as(d, User(NOBODY.uid, NOBODY.gid, (WWW,)))
    assert exchange(connection, "GET", "/v1/token").status == 200
    connection.close()
    with pytest.raises(PermissionError):
        connect_as(d, NOBODY)


# Units.

def test_a_unit_that_does_not_match_denies(server, daemon):
    """As long as the unit of the caller is another one, or cannot be told."""
    d = daemon(server, broker=OPEN,
               profile={"allow_users": "*", "allow_units": "gct-none.service"})
    d.token(wait=20)
    answer = ask(d, GAMES, "GET", "/v1/token")
    assert (answer.status, answer.json["error"]) == (403, "access_denied")
    assert re.search(r"denied: uid \d+, the (peer's unit is not known|unit \S+ is in no "
                     r"allow_units)$", denials(d)[-1]["words"])
    assert ask(d, ROOT, "GET", "/v1/token").status == 200


def test_a_unit_narrows_a_rule(server, daemon):
    """The right user in the right unit; either alone is not enough."""
    name = f"gct-test-{time.monotonic_ns()}.service"
    with unit(name) as inside, unit("other-" + name) as elsewhere:
        d = daemon(server, broker=OPEN, profile={
            "allow_users": "games", "allow_units": f"gct-none.service, {name}"})
        d.token(wait=20 * PATIENCE)
        for user, where, status in [(GAMES, inside, 200), (GAMES, elsewhere, 403), (GAMES, [], 403),
                                    (NOBODY, inside, 403), (ROOT, [], 200)]:
            assert curl_status(d, user, "/v1/token", where) == status, (user, where)
        words = [event["words"] for event in denials(d)]
        assert f"denied: uid {GAMES.uid}, the unit other-{name} is in no allow_units" in words


# Connects its standard input, says so on its standard output and ends with that.
CONNECT = """
import socket, sys
socket.socket(fileno=0).connect(sys.argv[1])
out = socket.socket(fileno=1)
out.send(b"connected")
out.recv(1)
"""


def test_the_unit_of_a_process_that_has_ended_is_not_known(server, daemon):
    """Its number may be another's by now. Who connected and still lives is asked about."""
    name = f"gct-test-{time.monotonic_ns()}.service"
    with unit(name) as inside:
        d = daemon(server, broker=OPEN, profile={"allow_users": "*", "allow_units": name})
        d.token(wait=20)
        for ends_before, status in ((False, 200), (True, 403)):
            client = d.connect()
            client.sock = socket.socket(socket.AF_UNIX)
            client.sock.settimeout(30 * PATIENCE)
            ours, its = socket.socketpair()
            ours.settimeout(30 * PATIENCE)
            process = subprocess.Popen(
                [*inside, *become(GAMES), "/usr/bin/python3", "-c", CONNECT, d.socket],
                stdin=client.sock, stdout=its, cwd="/")
            its.close()
            assert ours.recv(20) == b"connected"
            if ends_before:
                ours.close()
                assert process.wait(30 * PATIENCE) == 0
            assert exchange(client, "GET", "/v1/token").status == status
            client.close()
            ours.close()
            assert process.wait(30 * PATIENCE) == 0
        assert denials(d)[-1]["words"].endswith("the peer's unit is not known")
