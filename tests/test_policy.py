"""The policy: who may do what, and what somebody lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.model import Actor, Verb
from pipelines.policy import NEEDED, People, Policy, PolicySection, Role

OPS, BOSSES, GUESTS = 10, 20, 30


def actor(*roles, user=1, manages=False):
    """Somebody with these roles; None alone means that they are not known."""
    return Actor(f"discord:{user}", "ann", user, None if roles == (None,) else frozenset(roles), manages)


def policy(*, own=None, **levels):
    """A policy whose levels are lists of roles."""
    section = PolicySection(**{name: People(roles=roles) for name, roles in levels.items()})
    return Policy(section, {"prices": PolicySection(**{n: People(roles=r) for n, r in own.items()})} if own else {})


@pytest.mark.parametrize("verb", list(Verb))
def test_without_a_policy_only_who_manages_the_place_may_change_anything(verb):
    """Everybody may look; Manage Server may do all; what is missing is said."""
    looking = verb in (Verb.VIEW, Verb.LOGS)
    decision = policy().decide(actor(), verb)
    assert (looking, True) == (decision.allowed, policy().decide(actor(manages=True), verb).allowed)
    assert decision.missing == ("" if looking else "it needs admin (Manage Server); you are viewer")


def test_an_operator_runs_and_schedules_but_removes_only_what_is_theirs():
    """Removing somebody else's job needs an admin."""
    rules, ann = policy(operator=[OPS]), actor(OPS)
    assert [True, True, False, True] == [
        rules.decide(ann, Verb.RUN).allowed,
        rules.decide(ann, Verb.SCHEDULE).allowed,
        rules.decide(ann, Verb.REMOVE, owner="discord:2").allowed,
        rules.decide(ann, Verb.REMOVE, owner="discord:1").allowed,
    ]


def test_what_is_missing_names_who_may():
    """A viewer reads which roles could do it, and what they are."""
    decision = policy(operator=[OPS], admin=[BOSSES]).decide(actor(), Verb.RUN, "prices")
    assert decision.missing == "it needs operator (<@&10>) or admin (<@&20>) of prices; you are viewer"


def test_with_admins_named_managing_the_place_counts_no_more():
    """Who may manage the server is an admin only where no admins are named."""
    rules = policy(admin=[BOSSES])
    assert [False, True] == [rules.decide(who, Verb.RUN).allowed for who in (actor(manages=True), actor(BOSSES))]


def test_a_pipelines_own_level_replaces_the_files():
    """Operators of the file are none of a pipeline that names its own; other levels stay."""
    rules = policy(operator=[OPS], admin=[BOSSES], own={"operator": [GUESTS]})
    assert [Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.OPERATOR] == [
        rules.role(actor(OPS), "prices"),
        rules.role(actor(GUESTS), "prices"),
        rules.role(actor(BOSSES), "prices"),
        rules.role(actor(OPS), "other"),
    ]


def test_named_viewers_keep_others_out():
    """Where viewers are named, nobody else may look."""
    rules = policy(viewer=[OPS])
    assert [True, False] == [rules.decide(who, Verb.VIEW).allowed for who in (actor(OPS), actor(GUESTS))]


def test_deny_wins():
    """Whom a deny names may do nothing, whatever else they are, be it the file's or the pipeline's."""
    rules = policy(admin=[BOSSES], deny=[GUESTS])
    assert not rules.decide(actor(BOSSES, GUESTS), Verb.VIEW).allowed
    own = policy(admin=[BOSSES], own={"deny": [GUESTS]})
    assert [False, True] == [own.decide(actor(BOSSES, GUESTS), Verb.VIEW, name).allowed for name in ("prices", "other")]


def test_unknown_roles_grant_nothing():
    """While roles are not known, what needs one is denied with a word to try again; a deny by role counts."""
    assert policy(operator=[OPS]).decide(actor(None), Verb.RUN).missing == (
        "your roles are not known just now; try again in a minute"
    )
    assert not policy(deny=[OPS]).decide(actor(None, manages=True), Verb.VIEW).allowed
    by_user = Policy(PolicySection(operator=People(users=(1,))))
    assert by_user.decide(actor(None), Verb.RUN).allowed


ROLES = st.lists(st.sampled_from([OPS, BOSSES, GUESTS]), max_size=3)
SECTIONS = st.dictionaries(st.sampled_from(["viewer", "operator", "admin", "deny"]), ROLES)


@given(SECTIONS, SECTIONS, ROLES, st.booleans(), st.sampled_from(list(Verb)))
def test_who_may_do_more_may_do_less(levels, own, roles, manages, verb):
    """What is allowed follows from the role alone, a refusal says why, and those on a deny list are nobody."""
    rules, who = policy(own=own, **levels), actor(*roles, manages=manages)
    decision = rules.decide(who, verb, "prices")
    assert decision.allowed == (rules.role(who, "prices") >= NEEDED[verb])
    assert decision.allowed != bool(decision.missing)
    denied = {*levels.get("deny", ()), *own.get("deny", ())}
    assert not (denied & set(roles) and decision.allowed)


@pytest.mark.parametrize("who", [actor(), actor(OPS), actor(BOSSES), actor(None), actor(manages=True)])
@pytest.mark.parametrize("verb", [Verb.VIEW, Verb.RUN, Verb.REMOVE])
def test_many_pipelines_are_decided_as_each_of_them_is(who, verb):
    """Asked for many at once, the policy allows just those that it allows when asked for each."""
    rules, names = policy(operator=[OPS], own={"viewer": [OPS], "operator": [BOSSES]}), ["prices", "stock"]
    assert {name for name in names if rules.decide(who, verb, name).allowed} == rules.within(who, verb, names)
