"""The transactions of who people are, as far as it was learned."""

from collections.abc import Sequence

from bot.events import Person
from storage.arrivals import clock
from storage.connector import Query, Transaction


def known(team: str, ids: Sequence[str]) -> Transaction[dict[str, Person]]:
    """Those of these people that were learned."""
    found: dict[str, Person] = {}
    for user in ids:
        for row in (yield Query("find_person", {"team": team, "user": user})):
            roles = {role: bool(row[role]) for role in ("guest", "external", "admin")}
            found[user] = Person(user, row["name"], **roles)
    return found


def learn(team: str, people: Sequence[Person]) -> Transaction[None]:
    """Keep who they are, in one order for all workers, so that none waits for another in a circle."""
    now = yield from clock()
    for person in sorted(people, key=lambda person: person.id):
        learned = {
            "team": team,
            "user": person.id,
            "name": person.name,
            "guest": int(person.guest),
            "external": int(person.external),
            "admin": int(person.admin),
            "now": now,
        }
        yield Query("learn", learned)


def admins(team: str) -> Transaction[list[str]]:
    """The ids of those who were learned to be admins or owners."""
    return [row["user_id"] for row in (yield Query("admins", {"team": team}))]
